// In the page from its first byte on, once an animation frame: the newest state that all charts show, its age when it
// was first seen, and frames without all charts. Charts that Streamlit is about to take away count as charts.
{
  const probe = window.__probe = { frames: 0, blank: 0, ages: [], first: null, last: null };
  const drawn = (chart) => chart.querySelector(".trace path") && getComputedStyle(chart).visibility === "visible";
  const ours = (root) => {
    const whole = [...root.querySelectorAll(".js-plotly-plot")].filter(drawn).length === 1;
    const { epoch, seq, t0 } = root.dataset;
    return { whole, stamp: whole && seq ? `${epoch}:${seq}` : null, t0: Number(t0) };
  };
  const native = () => {
    const charts = [...document.querySelectorAll(".js-plotly-plot")].filter(drawn);
    const times = charts.map((chart) => chart.layout.meta.t0);
    const t0 = Math.max(...times);
    return { whole: charts.length >= 4, stamp: times.filter((time) => time === t0).length === 4 ? t0 : null, t0 };
  };
  const step = () => {
    const roots = [...document.querySelectorAll(".ps-live")], root = roots.find((each) => each.dataset.seq) ?? roots[0];
    const { whole, stamp, t0 } = root ? ours(root) : native();
    probe.frames += 1;
    if (!whole) probe.blank += 1;
    if (stamp !== null && stamp !== probe.last) {
      if (probe.first === null) probe.first = Date.now() - performance.timeOrigin;
      else probe.ages.push(Date.now() - t0);
      probe.last = stamp;
    }
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

// Of what is live this alone travels with every run of the script: the module comes by its address, once for all.
const load = (url) => import(url).catch(() => (
  new Promise((resolve) => setTimeout(resolve, 1000)).then(() => load(`${url}&again`))  // browsers keep that it failed
));

export default function (component) {
  const root = component.parentElement.querySelector("[data-live]"), kind = root.dataset.live;
  const module = load(new URL(component.data.module, location.origin).href);
  module.then((live) => live[kind].take(root, component));
  return () => module.then((live) => live[kind].drop(root));
}

// Of panels this alone travels with every run of the script: the module comes by its address, once for all.
const load = (url) => import(url).catch(() => (
  new Promise((resolve) => setTimeout(resolve, 1000)).then(() => load(`${url}&again`))  // browsers keep that it failed
));

export default function (component) {
  const root = component.parentElement.querySelector(".ps-panel");
  const module = load(new URL(component.data.module, location.origin).href);
  module.then(({ take }) => take(root, component));
  return () => module.then(({ drop }) => drop(root));
}

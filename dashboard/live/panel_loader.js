// The whole of it travels with every run of the script and every panel: the module comes by address, once.
export default function (component) {
  const root = component.parentElement.querySelector(".ps-panel");
  const module = import(new URL(component.data.module, location.origin).href);
  module.then(({ take }) => take(root, component));
  return () => module.then(({ drop }) => drop(root));
}

// The list of files and the three things one can do with it.
import { ask, byId, element } from "../dom.js";
import { pathProblem } from "./project.js";

export function showFiles(project, { readonly }) {
  const draw = () => {
    byId("files").replaceChildren(...project.paths().map((path) => entry(project, path)));
    byId("editor-path").textContent = project.open;
    if (!readonly) byId("file-delete").disabled = project.files.size < 2;
  };
  project.addEventListener("files", draw);
  draw();
  if (readonly) return;
  byId("file-add").addEventListener("click", () => addFile(project));
  byId("file-rename").addEventListener("click", () => renameFile(project));
  byId("file-delete").addEventListener("click", () => deleteFile(project));
}

function entry(project, path) {
  const button = element("button", {
    type: "button",
    className: "files__name",
    title: path,
    textContent: path,
  });
  if (path === project.open) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => {
    project.show(path);
    byId("files").querySelector("[aria-current]").focus();
  });
  return element("li", {}, button);
}

async function addFile(project) {
  const path = await askPath("New file", "Create", "", project.paths());
  if (path) project.add(path);
}

async function renameFile(project) {
  const from = project.open;
  const others = project.paths().filter((path) => path !== from);
  const to = await askPath(`Rename ${from}`, "Rename", from, others);
  if (to && to !== from) project.rename(from, to);
}

async function deleteFile(project) {
  byId("delete-dialog-title").textContent = `Delete ${project.open}?`;
  if (await ask(byId("delete-dialog"))) project.remove(project.open);
}

/** Asks for a path that is free and fit; null when the person thought better of it. */
async function askPath(title, action, value, taken) {
  const input = byId("file-name");
  byId("file-dialog-title").textContent = title;
  byId("file-dialog-ok").textContent = action;
  input.value = value;
  const check = () => input.setCustomValidity(pathProblem(input.value.trim(), taken));
  input.oninput = check;
  check();
  return (await ask(byId("file-dialog"))) ? input.value.trim() : null;
}

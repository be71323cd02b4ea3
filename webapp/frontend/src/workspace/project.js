// The candidate's files as this page has them. Others listen: "edit" when text changed,
// "files" when the list or the open file changed.

export class Project extends EventTarget {
  constructor(files) {
    super();
    this.files = new Map(Object.entries(files));
    this.open = this.paths().find((path) => /^main\.\w+$/.test(path)) ?? this.paths()[0];
  }

  paths() {
    return [...this.files.keys()].sort((a, b) => depth(a) - depth(b) || a.localeCompare(b));
  }

  text(path) {
    return this.files.get(path) ?? "";
  }

  write(path, text) {
    this.files.set(path, text);
    this.#tell("edit");
  }

  add(path) {
    this.files.set(path, "");
    this.#tell("edit");
    this.show(path);
  }

  rename(from, to) {
    this.files.set(to, this.text(from));
    this.files.delete(from);
    this.#tell("edit");
    this.show(to);
  }

  remove(path) {
    this.files.delete(path);
    this.#tell("edit");
    this.show(this.paths()[0]);
  }

  show(path) {
    this.open = path;
    this.#tell("files");
  }

  /** Takes over a whole other set of files, for instance what the server has. */
  replace(files) {
    this.files = new Map(Object.entries(files));
    if (!this.files.has(this.open)) this.open = this.paths()[0];
    this.dispatchEvent(new Event("replaced"));
    this.#tell("files");
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

const depth = (path) => path.split("/").length;

/** One JSON text for one set of files, whatever the order of its entries. */
export function canonical(files) {
  return JSON.stringify(Object.fromEntries([...files].sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Why a path cannot be used for a new file; "" when it can. */
export function pathProblem(path, taken) {
  if (!path) return "Type a name.";
  if (taken.includes(path)) return "There is a file of that name already.";
  if (path.startsWith("/") || path.endsWith("/") || path.includes("\\"))
    return "Use a path like handlers/payments.py.";
  if (path.split("/").some((part) => part === "" || part === "." || part === ".."))
    return "Use a path inside the project.";
  return "";
}

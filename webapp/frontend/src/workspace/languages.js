// Which syntax a file has. Each language is loaded when the first file of it is opened.

const LOADERS = {
  py: async () => (await import("@codemirror/lang-python")).python(),
  java: async () => (await import("@codemirror/lang-java")).java(),
  js: async () => (await import("@codemirror/lang-javascript")).javascript(),
  mjs: async () => (await import("@codemirror/lang-javascript")).javascript(),
  ts: async () => (await import("@codemirror/lang-javascript")).javascript({ typescript: true }),
  go: async () => (await import("@codemirror/lang-go")).go(),
  sql: async () => (await import("@codemirror/lang-sql")).sql(),
  json: async () => (await import("@codemirror/lang-json")).json(),
  md: async () => (await import("@codemirror/lang-markdown")).markdown(),
};

/** CodeMirror's support for the file's language; an empty extension for unknown names. */
export async function languageOf(path) {
  const ending = path.split(".").pop();
  return LOADERS[ending] ? LOADERS[ending]() : [];
}

export const indentOf = (path) =>
  path.endsWith(".py") || path.endsWith(".java") ? "    " : path.endsWith(".go") ? "\t" : "  ";

// The few helpers that every module uses.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; text is always a text node, never markup. */
export function element(tag, properties = {}, ...children) {
  const { dataset, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, dataset);
  node.append(...children.filter((child) => child != null));
  return node;
}

export function attributes(node, values) {
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
  return node;
}

/** Shows a short message in the corner; it stays as long as it takes to read. */
export function toast(message, kind = "info") {
  const note = element(
    "div",
    { className: `notice notice--${kind}` },
    element("p", { textContent: message }),
  );
  byId("toasts").append(note);
  setTimeout(() => note.remove(), 3000 + message.length * 60);
}

/** Opens a dialog and resolves to whether it was left by its "yes" button. */
export function ask(dialog) {
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.", "success");
  } catch {
    toast("This browser does not let us copy. Select the text and press Ctrl C.", "warning");
  }
}

export const clockTime = (date) =>
  date.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  });

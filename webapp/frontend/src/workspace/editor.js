// CodeMirror, mounted in a shadow root: there it brings its styles as constructed style sheets,
// which a Content-Security-Policy without inline styles allows.
import { basicSetup } from "codemirror";
import { indentWithTab } from "@codemirror/commands";
import { HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { indentOf, languageOf } from "./languages.js";

const theme = EditorView.theme({
  "&": {
    height: "100%",
    color: "var(--ink)",
    backgroundColor: "var(--surface)",
    fontSize: "0.875rem",
  },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { caretColor: "var(--ink)", padding: "0.5rem 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--ink-2)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "light-dark(#2a47c40d, #a3b5ff14)" },
  ".cm-activeLineGutter": { color: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    {
      backgroundColor: "light-dark(#cdd6fb, #38437a)",
    },
  ".cm-selectionMatch": { backgroundColor: "var(--warn-soft)" },
  "&.cm-focused .cm-matchingBracket": {
    backgroundColor: "var(--accent-soft)",
    outline: "1px solid var(--accent)",
  },
  ".cm-panels, .cm-tooltip": {
    backgroundColor: "var(--surface)",
    color: "var(--ink)",
    borderColor: "var(--line)",
  },
  ".cm-panel input, .cm-panel button": {
    backgroundImage: "none",
    backgroundColor: "var(--paper)",
    color: "var(--ink)",
  },
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    backgroundColor: "var(--accent)",
    color: "var(--on-accent)",
  },
  ".cm-foldPlaceholder": {
    backgroundColor: "var(--sunken)",
    color: "var(--ink-2)",
    borderColor: "var(--line)",
  },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
  {
    tag: [tags.function(tags.variableName), tags.definition(tags.variableName), tags.propertyName],
    color: "var(--code-name)",
  },
  { tag: [tags.typeName, tags.className, tags.namespace], color: "var(--code-type)" },
  { tag: tags.heading, fontWeight: "bold" },
  { tag: tags.link, textDecoration: "underline" },
]);

/** Replaces a selection ourselves: Chromium, left to do it, keeps the look of what it replaces by an
 *  inline style, which our Content-Security-Policy refuses and the console then complains about. */
const replaceSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    if (empty || event.inputType !== "insertText" || !event.data) return false;
    event.preventDefault();
    const change = () =>
      view.state.update(view.state.replaceSelection(event.data), {
        userEvent: "input.type",
        scrollIntoView: true,
      });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handle) => handle(view, from, to, event.data, change)))
      view.dispatch(change());
    return true;
  },
});

/** Edits the project's open file and keeps one undo history per file. */
export class Editor {
  #states = new Map();
  #language = new Compartment();

  constructor(host, project, { readonly }) {
    this.project = project;
    this.readonly = readonly;
    const root = host.attachShadow({ mode: "open" });
    this.view = new EditorView({ root, parent: root });
    this.#showOpenFile();
    project.addEventListener("files", () => this.#showOpenFile());
    project.addEventListener("replaced", () => this.#states.clear());
  }

  focus() {
    this.view.focus();
  }

  #showOpenFile() {
    const path = this.project.open;
    if (this.path && this.project.files.has(this.path))
      this.#states.set(this.path, this.view.state);
    const kept = this.#states.get(path);
    this.path = path;
    this.view.setState(
      kept && kept.doc.toString() === this.project.text(path) ? kept : this.#newState(path),
    );
    languageOf(path).then((support) => {
      if (this.path === path) this.view.dispatch({ effects: this.#language.reconfigure(support) });
    });
  }

  #newState(path) {
    return EditorState.create({
      doc: this.project.text(path),
      extensions: [
        keymap.of([indentWithTab]),
        basicSetup,
        replaceSelection,
        theme,
        syntaxHighlighting(colours),
        indentUnit.of(indentOf(path)),
        this.#language.of([]),
        EditorState.readOnly.of(this.readonly),
        EditorView.contentAttributes.of({
          "aria-label": `Text of ${path}`,
          spellcheck: "false",
          tabindex: "0",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) this.project.write(path, update.state.doc.toString());
        }),
      ],
    });
  }
}

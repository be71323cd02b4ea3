// Bundles src/*.js and styles/app.css into the folder given as the only argument.
// One file per page kind; the editor's languages are split off and loaded when a file needs them.
import { build } from "esbuild";

const [outdir] = process.argv.slice(2);
if (!outdir) throw new Error("usage: node build.mjs OUTPUT_FOLDER");

await build({
  entryPoints: {
    theme: "src/theme.js",
    site: "src/site.js",
    workspace: "src/workspace/main.js",
    guide: "src/guide/main.js",
    app: "styles/app.css",
  },
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "linked",
  logLevel: "warning",
});

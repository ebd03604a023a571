// Bundles the script into what the wheel carries; `node build.mjs FILE` writes elsewhere.
import { build } from "esbuild";

await build({
  entryPoints: ["src/main.ts"],
  outfile: process.argv[2] ?? "../operator/secretset/web/static/dashboard.js",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "eof",
  logLevel: "warning",
});

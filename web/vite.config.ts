// Builds what /console/ serves. No inline script or style comes out of it: the server's CSP allows neither.
import { defineConfig } from "vite";

// `npm run dev` beside a server: DORMOUSE=http://127.0.0.1:8080 (the default).
const server = process.env["DORMOUSE"] ?? "http://127.0.0.1:8080";
const proxied = Object.fromEntries(
  ["/admin", "/v1", "/generate"].map((path) => [path, {
    target: server,
    changeOrigin: true,
    headers: { origin: server }, // the server answers pages of its own origin only
  }]),
);

export default defineConfig({
  base: "/console/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: proxied },
});

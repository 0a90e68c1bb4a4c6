import { defineConfig } from "vite";

// One script, one style sheet, nothing inline: the server's content security policy
// allows only files of its own. Names carry no hash, so that the embedded page has
// the same file names in every build.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true, // public/.gitkeep puts the marker file back
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        entryFileNames: "assets/page.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
});

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// `npm run dev` shows the page of a running station: give its address in FLASHLINE_STATION.
const station = process.env['FLASHLINE_STATION'];

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'safari16',
    modulePreload: { polyfill: false },
    // The daemon's CSP allows no data: URLs, so nothing is inlined.
    assetsInlineLimit: 0,
  },
  server: station ? { proxy: { '/api': station, '/enter': station } } : {},
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});

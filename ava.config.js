// The fast world: unit, machines, model, contracts, threads, native, simulation.
export default {
  files: ['dist/test/**/*.test.js', '!dist/test/e2e/**'],
  timeout: '120s',
  concurrency: 2,
};

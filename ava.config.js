// The fast world: unit, machines, model, contracts, threads, native, simulation. Every file in a
// process of its own: descriptors are counted, threads are killed, and a native fault is one file's.
export default {
  files: ['dist/test/**/*.test.js', '!dist/test/e2e/**'],
  workerThreads: false,
  timeout: '120s',
  concurrency: 3,
};

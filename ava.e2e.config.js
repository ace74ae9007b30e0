// The real world: daemons, real clients, kill -9. One at a time, in processes of their own.
export default {
  files: ['dist/test/e2e/**/*.test.js'],
  workerThreads: false,
  concurrency: 1,
  timeout: '300s',
};

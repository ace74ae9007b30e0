#!/usr/bin/env node
'use strict';
// CommonJS on purpose (bin/package.json): libuv makes its thread pool for the first asynchronous file
// operation, and loading an ECMAScript module is one. With 4 threads, libuv's own default, four
// requests to a hung disk would stop every other group where io_uring is not allowed (Rule 45).
process.env.UV_THREADPOOL_SIZE ??= '32';

import('../dist/src/daemon/main.js')
  .then(({ main }) => main(process.argv.slice(2)))
  .then((code) => {
    process.exitCode = code;
  });

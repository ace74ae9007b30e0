#!/usr/bin/env node
'use strict';
import('../dist/src/cli/main.js')
  .then(({ run }) => run(process.argv))
  .then((code) => {
    process.exitCode = code;
  });

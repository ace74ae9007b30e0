import { MessageChannel } from 'node:worker_threads';
import test from 'ava';
import { isTdmfError, TdmfError } from '../../src/core/errors.js';
import { expose, remote } from '../../src/runtime/expose.js';

test('what an exposed method throws arrives with its code, details and cause', async (t) => {
  const { port1, port2 } = new MessageChannel();
  expose(
    {
      fail() {
        throw new TdmfError(
          'TDMF_DEVICE_MISSING',
          { path: '/dev/sdx' },
          { cause: Object.assign(new Error('no such file'), { code: 'ENOENT' }) },
        );
      },
      async reject() {
        throw Object.assign(new Error('plain'), { code: 'EIO' });
      },
    },
    port1,
  );
  const far = remote<{ fail(): void; reject(): Promise<void> }>(port2);
  const error: unknown = await t.throwsAsync(Promise.resolve(far.fail()));
  t.true(isTdmfError(error));
  t.like(error, {
    code: 'TDMF_DEVICE_MISSING',
    details: { path: '/dev/sdx' },
    cause: { message: 'no such file', code: 'ENOENT' },
  });
  await t.throwsAsync(Promise.resolve(far.reject()), { code: 'EIO', message: 'plain' });
  port1.close();
  port2.close();
});

test('values go and come as they are', async (t) => {
  const { port1, port2 } = new MessageChannel();
  expose({ add: (a: number, b: number) => a + b }, port1);
  t.is(await remote<{ add(a: number, b: number): number }>(port2).add(2, 3), 5);
  port1.close();
  port2.close();
});

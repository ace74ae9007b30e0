import test from 'ava';
import fc from 'fast-check';
import { isTdmfError } from '../../../src/core/errors.js';
import { keyOf, LinkEnd, secretOf } from '../../../src/testing/contracts/link.js';
import { type SimEndpoint, type SimLink, SimNetwork } from '../../../src/testing/link.js';
import { SimWorld } from '../../../src/testing/world.js';

const place = { host: 'secondary', port: 575 };

interface Stage {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly primary: SimEndpoint;
  readonly secondary: SimEndpoint;
  readonly accepted: LinkEnd[];
}

function stage(seed: number): Stage {
  const world = new SimWorld(seed);
  const network = new SimNetwork(world);
  const primary = network.endpoint('primary');
  const secondary = network.endpoint('secondary');
  secondary.listen(place.host, place.port);
  const accepted: LinkEnd[] = [];
  secondary.server.setKeys([{ group: 1, secret: secretOf(1) }]);
  secondary.server.onSession(({ connection }) => accepted.push(new LinkEnd(connection)));
  return { world, network, primary, secondary, accepted };
}

async function connect({ world, network, primary, accepted }: Stage) {
  const target = { ...place, key: keyOf(1), tcpWindowBytes: 0 };
  const dialed = primary.dialer.dial(target, new AbortController().signal);
  const near = new LinkEnd(await world.settled(dialed));
  const link = network.links.at(-1) as SimLink;
  return { near, far: accepted.at(-1)!, link };
}

test('a link is cut after any byte: what arrived is a beginning of what was sent', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1000), fc.nat(200_000), async (seed, cutAfter) => {
      const on = stage(seed);
      const { near, far, link } = await connect(on);
      link.forth.cutAfter = cutAfter;
      const bytes = Uint8Array.from({ length: 200_000 }, () => on.world.random.below(256));
      let back = 0;
      for (let at = 0; at < bytes.length; at += 10_000) {
        near.connection.send(bytes.subarray(at, at + 10_000), () => {
          back += 1;
        });
      }
      const over = () => near.closed.length === 1 && far.closed.length === 1;
      await on.world.until(over, 1000, 'both hear of the cut');
      t.deepEqual(far.content(), bytes.slice(0, cutAfter));
      t.is(near.closed[0]!.code, 'TDMF_LINK_LOST');
      t.is(far.closed[0]!.code, 'TDMF_LINK_LOST');
      t.is(back, 20);
      await on.world.run(1000);
      t.is(near.closed.length + far.closed.length, 2);
    }),
    { numRuns: 30 },
  );
});

async function run(): Promise<string> {
  const on = stage(7);
  const { near, far } = await connect(on);
  near.connection.send(new Uint8Array(1_000_000));
  await on.world.until(() => far.bytes === 1_000_000, 1000, 'all arrives');
  return `${on.world.now} ${on.world.delivered}`;
}

test('one seed gives one run', async (t) => {
  t.is(await run(), await run());
});

test('a stalled link delivers nothing, then everything', async (t) => {
  const on = stage(1);
  const { near, far, link } = await connect(on);
  link.stall(5000);
  near.connection.send(new Uint8Array(10));
  await on.world.run(4999);
  t.is(far.bytes, 0);
  await on.world.run(10);
  t.is(far.bytes, 10);
});

test('a half-open link tells nobody (Rule 51)', async (t) => {
  const on = stage(1);
  const { near, far, link } = await connect(on);
  link.goSilent();
  near.connection.send(new Uint8Array(10));
  near.connection.close({ code: 'TDMF_LINK_TIMEOUT', message: 'not heard' });
  await on.world.run(60_000);
  t.is(near.closed[0]!.code, 'TDMF_LINK_TIMEOUT');
  t.is(far.bytes, 0);
  t.is(far.closed.length, 0);
});

test('a process that dies hears nothing more, its peer hears a reset', async (t) => {
  const on = stage(1);
  const { near, far } = await connect(on);
  near.connection.send(new Uint8Array(10));
  on.secondary.die();
  await on.world.run(1000);
  t.is(near.closed[0]!.code, 'TDMF_LINK_LOST');
  t.is(far.bytes + far.closed.length, 0);
  const again = connect(on);
  await t.throwsAsync(again, { code: 'TDMF_LINK_REFUSED' });
});

test('a network that is down lets attempts time out and open links fall silent', async (t) => {
  const on = stage(1);
  const { near, far } = await connect(on);
  on.network.down = true;
  near.connection.send(new Uint8Array(10));
  const error: unknown = await connect(on).catch((reason: unknown) => reason);
  t.true(isTdmfError(error) && error.code === 'TDMF_LINK_TIMEOUT');
  t.is(far.bytes + near.closed.length + far.closed.length, 0);
  on.network.down = false;
  await connect(on);
  t.is(on.accepted.length, 2);
});

test('memory that is reused before it was given back shows', async (t) => {
  const on = stage(1);
  const { near, far, link } = await connect(on);
  link.stall(10);
  const bytes = new Uint8Array(10).fill(1);
  near.connection.send(bytes);
  bytes.fill(2);
  await on.world.until(() => far.bytes === 10, 1000, 'it arrives');
  t.true(far.content().every((byte) => byte === 2));
});

/** The link host: names of sessions, and what becomes of one whose s###.cfg changes. */
import test from 'ava';
import type { Actor } from '../../../src/actors/actor.js';
import { type LinkHostMessage, startLinkHost } from '../../../src/actors/link-host.js';
import type { LinkServer, LinkSession } from '../../../src/ports/link-server.js';
import { FakePrimary, helloOf } from '../../helpers/fake-primary.js';
import { MemoryLink } from '../../helpers/memory-link.js';
import { journalDirectory, Secondary } from '../../helpers/secondary.js';
import { simContext } from '../../helpers/sim-actor.js';

interface Host {
  readonly actor: Actor<LinkHostMessage>;
  /** A primary that has shown the key of group 7. */
  readonly dial: () => FakePrimary;
}

const group = {
  group: 7,
  secret: 's',
  loopback: false,
  journal: journalDirectory,
  chaining: false,
  devices: [{ name: 'd0', mirror: '/m0' }],
};

async function hostOn(secondary: Secondary, admitted: string[]): Promise<Host> {
  const { world, process } = secondary;
  let accept: (session: LinkSession) => void = () => {};
  const links: LinkServer = {
    setKeys: () => {},
    serve: () => {},
    onSession: (then) => {
      accept = then;
    },
    close: async () => {},
  };
  const context = simContext(world, process, 'link0', async (_to, question) => {
    admitted.push((question as { session: string }).session);
  });
  const ports = { ...context.ports, links };
  const actor = await startLinkHost(
    { ...context, ports },
    { nodeId: 'node-b', version: 'test', home: '/home', supervisor: 'supervisor' },
  );
  await actor.ask!({ kind: 'link.groups', groups: [group] });
  return {
    actor,
    dial: () => {
      const [near, far] = MemoryLink.pair(world);
      accept({ group: 7, connection: far });
      const primary = new FakePrimary(near);
      primary.say(helloOf());
      return primary;
    },
  };
}

test('a host that begins anew gives no name a second time: an old one must not end another session (I11)', async (t) => {
  const secondary = new Secondary();
  const admitted: string[] = [];
  const first = await hostOn(secondary, admitted);
  await secondary.heard(first.dial(), 'welcome');
  await secondary.restart('kill');
  const second = await hostOn(secondary, admitted);
  await secondary.heard(second.dial(), 'welcome');
  t.is(new Set(admitted).size, 2);
  t.true(admitted.every((session) => session.startsWith('link0/')));
});

test('a session ends when its s###.cfg says something else, and not before (H33)', async (t) => {
  const secondary = new Secondary();
  const { actor, dial } = await hostOn(secondary, []);
  const primary = dial();
  await secondary.heard(primary, 'welcome');
  await actor.ask!({ kind: 'link.groups', groups: [{ ...group }] });
  await secondary.world.run(100);
  t.is(primary.link.closed, undefined);
  await actor.ask!({ kind: 'link.groups', groups: [] });
  t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_LINK_CLOSED');
  await secondary.world.until(() => secondary.node.disk('/m0').holders === 0, 1_000, 'closed');
});

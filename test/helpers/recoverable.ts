/** A secondary whose mirror could not take a commit: the journal holds it, the primary is gone. */

import type { Actor } from '../../src/actors/actor.js';
import type { RecoQuestion } from '../../src/actors/reco.js';
import { startReco } from '../../src/actors/reco.js';
import { era } from './refreshed.js';
import { journalDirectory, Secondary } from './secondary.js';
import { type SimActorContext, simContext } from './sim-actor.js';

export const recoConfig = {
  group: 7,
  loopback: false,
  journal: journalDirectory,
  home: '/home',
  devices: [{ name: 'd0', mirror: '/m0' }],
};

const refreshId = 'refresh-1';

/** Byte 0 is 8 from an entry, byte 512 is 7 from a block, when the journal has been replayed. */
export async function recoverable(seed = 1): Promise<Secondary> {
  const secondary = new Secondary(seed);
  const session = await secondary.welcomed();
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.blocks([{ sequence: 1, offset: 0, length: 1024, fill: 7 }]);
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 8 }]);
  secondary.node.disk('/m0').fault = (operation) => (operation === 'write' ? 5 : 0);
  primary.say({ kind: 'mark', refreshId, mark: 1, blocks: 1 });
  await secondary.heard(primary, 'bye');
  await secondary.stop(session);
  secondary.node.disk('/m0').fault = undefined;
  return secondary;
}

export interface SimReco {
  readonly context: SimActorContext;
  ask<Answer>(question: RecoQuestion): Promise<Answer>;
}

/** The actor of reco on the node as it is now. */
export function recoOf(secondary: Secondary): SimReco {
  const context = simContext(secondary.world, secondary.process, 'reco');
  return {
    context,
    async ask<Answer>(question: RecoQuestion) {
      const actor: Actor<never> = await startReco(context, recoConfig);
      const answer = actor.ask!(question) as Promise<Answer>;
      await secondary.world.settled(answer.catch(() => undefined));
      return answer;
    },
  };
}

/** What the record of a mirror says after a commit. */
import test from 'ava';
import { RmdRecord, saveCommit } from '../../../src/actors/rmd-record.js';
import { simDigest } from '../../../src/testing/digest.js';
import { SimNode } from '../../../src/testing/node.js';
import { SimWorld } from '../../../src/testing/world.js';

test('Rule 27: what is committed will be written, so the mirror is not cleanly closed any more', async (t) => {
  const world = new SimWorld(1);
  const { files } = new SimNode(world, 'secondary');
  const opened = RmdRecord.open(files, simDigest, '/journal', 0, []);
  const record = await world.settled(opened);
  await world.settled(record.save({ clean: true, state: 'coherent' }));
  const chain = { first: 1, last: 2 };
  const commit = { era: 'a'.repeat(32), mark: 5, chain, state: 'recoverable' as const };
  await world.settled(saveCommit(record, commit));
  t.false(record.record.clean);
  await world.settled(record.save({ clean: true, checkpoint: 'on' }));
  await world.settled(saveCommit(record, commit));
  t.true(record.record.clean, 'under a checkpoint the mirror stays as it is');
});

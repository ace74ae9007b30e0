/**
 * I12, bounds: what may pile up stays below its limit. The BAB never holds more than its pool, its
 * cursors keep their order, and a link never has more under way than the secondary's window.
 */
import { strict as assert } from 'node:assert';
import { descriptorsMax } from '../../core/bab/layout.js';
import type { BabPool } from '../../core/bab/pool.js';
import type { StartedGroup } from '../primary.js';

export function checkBounds({ control }: StartedGroup, pool: BabPool): void {
  const published = control.cursor('published');
  const behind = (name: 'released' | 'durable' | 'applied' | 'received' | 'sent') =>
    (published - control.cursor(name)) >>> 0;
  assert.ok(behind('released') <= descriptorsMax, 'I12: entries held within the ring');
  assert.ok(behind('durable') <= behind('released'), 'I4: released ≤ durable');
  assert.ok(behind('applied') <= behind('durable'), 'durable ≤ applied');
  assert.ok(behind('received') <= behind('durable'), 'durable ≤ received');
  assert.ok(behind('sent') <= behind('durable'), 'durable ≤ sent');
  assert.ok(control.stamped <= control.lease || control.generation === 0, 'I17: within the lease');
  assert.ok(pool.usedBytes <= pool.actualBytes, 'I12: the BAB holds what it has');
}

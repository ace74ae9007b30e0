/** Makes an AVA test of every case of a contract. */
import test from 'ava';
import type { ContractCase } from '../../src/testing/contracts/case.js';

export function runContract(subject: string, cases: readonly ContractCase[]): void {
  for (const { title, run } of cases) {
    test(`${subject}: ${title}`, async (t) => {
      await t.notThrowsAsync(run);
    });
  }
}

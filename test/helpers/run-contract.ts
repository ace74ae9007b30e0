/** Makes an AVA test of every case of a contract. */
import test from 'ava';
import type { ContractCase } from '../../src/testing/contracts/case.js';

export function runContract(subject: string, cases: readonly ContractCase[]): void {
  for (const promise of cases) {
    test(`${subject}: ${promise.title}`, async (t) => {
      await t.notThrowsAsync(() => promise.run());
    });
  }
}

/** Makes an AVA test of every case of a contract; `serial` where the subject is scarce. */
import test from 'ava';
import type { ContractCase } from '../../src/testing/contracts/case.js';

export function runContract(subject: string, cases: readonly ContractCase[], serial = false): void {
  for (const promise of cases) {
    const declare = serial ? test.serial : test;
    declare(`${subject}: ${promise.title}`, async (t) => {
      await t.notThrowsAsync(() => promise.run());
    });
  }
}

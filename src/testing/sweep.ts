/**
 * Many runs from one line: `seed=1..64`, or a strike at every so many events of a story, which may
 * be counted from the first NORMAL of the undisturbed story:
 *
 *   story=overflow strike=load.burst@refresh-200..refresh+30/2        story=small strike=x@25..all/13
 *   story=small strike=load.burst@refresh..all/7,primary.thread@+4    a second one four events later
 */

import type { SimResult } from './scenario.js';
import { runScenario, Scenario } from './scenario.js';
import { formatScenario, parseScenario, readText, type ScenarioText } from './scenario-text.js';

/** The lines that a sweep stands for, one a run. */
export async function expand(line: string): Promise<string[]> {
  const text = readText(line);
  const seeds = /^(\d+)\.\.(\d+)$/.exec(text.get('seed') ?? '');
  if (seeds !== null) {
    return count(Number(seeds[1]), Number(seeds[2]), 1).map((seed) =>
      formatScenario(new Map(text).set('seed', String(seed))),
    );
  }
  const [first = '', ...later] = (text.get('strike') ?? '').split(',');
  const swept = /^([a-z.A-Z]+)@(.+)\.\.([^/]+)(?:\/(\d+))?$/.exec(first);
  if (swept === null) return [formatScenario(text)];
  const [, kind, from, to, step] = swept;
  const marks = await marksOf(text);
  return count(placeOf(from!, marks), placeOf(to!, marks), Number(step ?? 1)).map((event) => {
    const others = later.map((one) =>
      one.replace(/@\+(\d+)$/, (_, behind: string) => `@${event + Number(behind)}`),
    );
    return formatScenario(new Map(text).set('strike', [`${kind}@${event}`, ...others].join(',')));
  });
}

export function runLine(line: string, onTrace?: (line: string) => void): Promise<SimResult> {
  return runScenario(parseScenario(readText(line)), onTrace);
}

/** Events until the first NORMAL, and of the whole undisturbed story. */
export interface Marks {
  readonly refresh: number;
  readonly all: number;
}

export async function marksOf(text: ScenarioText): Promise<Marks> {
  const calm = new Map(text);
  calm.delete('strike');
  const scenario = new Scenario(parseScenario(calm));
  let refresh = 0;
  scenario.world.onTrace = (line) => {
    if (line.includes('"to":"NORMAL"')) refresh ||= scenario.world.delivered;
  };
  const { events, failure } = await scenario.run();
  if (failure !== undefined) throw new Error(`undisturbed: ${failure.message}`);
  return { refresh, all: events };
}

function placeOf(place: string, marks: Marks): number {
  const found = /^(refresh|all)?([+-]?\d+)?$/.exec(place);
  if (found === null) throw new Error(`'${place}' is no event`);
  const [, mark, offset] = found;
  return (mark === undefined ? 0 : marks[mark as keyof Marks]) + Number(offset ?? 0);
}

function count(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.max(0, Math.floor((to - from) / step) + 1) }, (_, index) => {
    return Math.max(0, from) + index * step;
  });
}

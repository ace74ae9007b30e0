/**
 * A simulated run in one line, for people and for the shrinker: where it begins (a seed, or a story
 * by name) and what differs from that. `parseScenario(formatScenario(text))` is the same run.
 *
 *   seed=403 faults=link.cut,primary.kill writers=0,2 devices=1 writes=120 skip=0,3 safetyMs=800
 *   story=overflow strike=load.burst@212,primary.thread@216
 */
import { stories } from './stories.js';
import { drawSwarm, type FaultKind, faultKinds, type Strike, type SwarmOptions } from './swarm.js';

export type ScenarioText = ReadonlyMap<string, string>;

export function readText(line: string): Map<string, string> {
  return new Map(
    line
      .trim()
      .split(/\s+/)
      .map((token) => {
        const [key = '', value = ''] = token.split('=');
        if (!keys.includes(key)) throw new Error(`'${token}': the keys are ${keys.join(', ')}`);
        return [key, value] as const;
      }),
  );
}

export function formatScenario(text: ScenarioText): string {
  return [...text].map(([key, value]) => `${key}=${value}`).join(' ');
}

export function parseScenario(text: ScenarioText): SwarmOptions {
  const base = baseOf(text);
  const { cluster } = base;
  const writers = list(text, 'writers')?.map((index) => base.writers[Number(index)]!);
  const devices = number(text, 'devices');
  const safetyMs = number(text, 'safetyMs');
  const writesMax = number(text, 'writes');
  const skip = list(text, 'skip')?.map(Number);
  const strikes = list(text, 'strike')?.map(strikeOf);
  return {
    ...base,
    cluster: {
      ...cluster,
      ...(devices !== undefined && { deviceBytes: cluster.deviceBytes.slice(0, devices) }),
    },
    faults: list(text, 'faults')?.map(faultOf) ?? base.faults,
    writers: writers ?? base.writers,
    ...(safetyMs !== undefined && { safetyMs }),
    ...(writesMax !== undefined && { writesMax }),
    ...(skip !== undefined && { skip }),
    ...(strikes !== undefined && { strikes }),
  };
}

const keys = 'seed story faults writers devices writes skip safetyMs strike'.split(' ');

function baseOf(text: ScenarioText): SwarmOptions {
  const name = text.get('story');
  const seed = number(text, 'seed');
  if (name === undefined) return drawSwarm(seed ?? 1);
  const story = stories[name];
  if (story === undefined) throw new Error(`no story '${name}': ${Object.keys(stories).join(' ')}`);
  return { ...story, ...(seed !== undefined && { seed }) };
}

function strikeOf(text: string): Strike {
  const [kind = '', events = ''] = text.split('@');
  return { kind: faultOf(kind), afterEvents: Number(events) };
}

function faultOf(name: string): FaultKind {
  const kind = faultKinds.find((known) => known === name);
  if (kind === undefined) throw new Error(`no fault '${name}': ${faultKinds.join(' ')}`);
  return kind;
}

function list(text: ScenarioText, key: string): string[] | undefined {
  return text
    .get(key)
    ?.split(',')
    .filter((one) => one !== '');
}

function number(text: ScenarioText, key: string): number | undefined {
  const value = text.get(key);
  if (value === undefined) return undefined;
  const found = Number(value);
  if (!Number.isSafeInteger(found) || found < 0) throw new Error(`${key}=${value} is no number`);
  return found;
}

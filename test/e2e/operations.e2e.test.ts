/**
 * docs/operations.md, typed: every block of commands runs on the host that its first line names, in
 * the order of the page; comments between them (`<!-- test: … -->`) say what happens meanwhile. Each
 * chapter is a test. A step that this file does not know fails, so the page cannot say more than is
 * tried.
 */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../../src/config/package-version.js';
import { eventually, execute, succeed, TestHost } from '../helpers/daemon.js';
import { LinkProxy } from '../helpers/link-proxy.js';
import { Pair } from './helpers/pair.js';
import { Scope } from './helpers/scope.js';

const deviceBytes = 16 * 2 ** 20;
const page = readFileSync(join(packageRoot(), 'docs/operations.md'), 'utf8');

/** Two hosts as a chapter knows them, by the names that the page uses. */
class Story {
  readonly #scope: Scope;
  #pair: Pair | undefined;
  /** The third host. */
  #gamma: TestHost | undefined;
  #gammaProxy: LinkProxy | undefined;
  /** Where each pattern was written: a MiB of its own. */
  readonly log: string[] = [];

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  get pair(): Pair {
    if (this.#pair === undefined) throw new Error('a chapter begins with <!-- test: begin -->');
    return this.#pair;
  }

  async step(words: string): Promise<void> {
    const [, number = '0'] = /\b(\d+)\b/.exec(words) ?? [];
    const pattern = Number(number);
    const { local, mirror } = this.#pair?.devices[0] ?? { local: '', mirror: '' };
    switch (words.replace(/\b\d+\b/, 'N')) {
      case 'begin':
        this.#pair = await Pair.create(this.#scope, { devices: { d0: deviceBytes } });
        return this.#pair.begin();
      case 'the link goes down':
        this.pair.proxy.refusing = true;
        return this.pair.proxy.cut();
      case 'the link comes up':
        this.pair.proxy.refusing = false;
        return;
      case 'write N at the primary':
        await this.#io(this.pair.primary.uri(), 'write', pattern);
        return;
      case 'write N on the mirror':
        await this.#io(mirror, 'write', pattern);
        return;
      case 'write N to the local device while the group is stopped':
        await this.pair.primary.control('stop', '-s', '-g', '0');
        await this.#io(local, 'write', pattern);
        await this.pair.primary.control('start', '-g', '0');
        return;
      case 'the mirror has N':
        await this.#settled();
        return this.#io(mirror, 'read', pattern);
      case 'the backup has N':
        return eventually(
          () =>
            this.#io(this.pair.secondary.path('backup.img'), 'read', pattern).then(
              () => true,
              () => false,
            ),
          'the backup',
        ).then(() => undefined);
      case 'both have N':
        await this.#io(local, 'read', pattern);
        await this.#io(mirror, 'read', pattern);
        await this.pair.drained();
        return this.pair.equal();
      case 'equal':
        await this.pair.drained();
        if (this.#gamma === undefined) return this.pair.equal();
        await succeed('cmp', [local, this.#gamma.path('d0.mirror')]);
        return;
      case 'the primary is lost':
        await this.pair.drained();
        await this.pair.primary.stop('SIGKILL');
        return;
      case 'the primary comes back':
        return this.pair.primary.start();
      case 'the secondary is lost for ever':
        await this.pair.secondary.stop('SIGKILL');
        await this.#newSecondary();
        return;
      case 's000.cfg goes to the new secondary': {
        const file = join(this.#gamma!.home, 's000.cfg');
        copyFileSync(this.pair.primary.path('s000.cfg'), file);
        chmodSync(file, 0o600);
        return;
      }
      default:
        throw new Error(`the page asks for '${words}', which no test does`);
    }
  }

  /** Types a block as the page has it; its names become those of this machine. */
  async type(block: string): Promise<void> {
    const [, who = ''] = /^# (alpha|beta)$/m.exec(block) ?? [];
    const host = { alpha: this.pair.primary, beta: this.pair.secondary }[who];
    if (host === undefined) throw new Error(`no host in the first line of:\n${block}`);
    const { local, mirror } = this.pair.devices[0]!;
    const script = block
      .replaceAll('/srv/data.img', local)
      .replaceAll('/srv/mirror.img', mirror)
      .replaceAll('/srv/backup.img', host.path('backup.img'))
      .replaceAll('/var/lib/tdmf', host.home)
      .replace('s/beta/gamma/', this.#toGamma());
    const bin = host.path('bin');
    mkdirSync(bin, { recursive: true });
    const tdmfctl = join(packageRoot(), 'bin/tdmfctl.js');
    const words = [process.execPath, tdmfctl, '--home', host.home].map((word) => `'${word}'`);
    writeFileSync(join(bin, 'tdmfctl'), `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, {
      mode: 0o755,
    });
    const { code, stdout, stderr } = await execute(
      'bash',
      ['-euo', 'pipefail', '-c', `PATH='${bin}':$PATH\n${script}`],
      { cwd: host.directory },
    );
    this.log.push(`${who}$ ${block.trim()}\n${stdout}${stderr}`);
    if (code !== 0) {
      throw new Error(`ended with ${code}:\n${this.log.join('\n')}\n${await this.pair.story()}`);
    }
  }

  /** While the primary runs and is connected, what it wrote must have arrived first. */
  async #settled(): Promise<void> {
    const state = await this.pair.state();
    if (state?.connection === 'CONNECTED' && !state.checkpoint) await this.pair.drained();
  }

  async #io(target: string, what: 'write' | 'read', pattern: number): Promise<void> {
    await succeed('qemu-io', ['-f', 'raw', '-c', `${what} -P ${pattern} ${pattern}M 1M`, target]);
  }

  async #newSecondary(): Promise<void> {
    const host = await TestHost.create(8);
    this.#scope.defer(() => host.remove());
    this.#gamma = host;
    host.image('d0.mirror', deviceBytes);
    this.#gammaProxy = await LinkProxy.to(host.port);
    const proxy = this.#gammaProxy;
    this.#scope.defer(() => proxy.close());
    await host.start();
  }

  /** The page changes a name; here hosts are ports and directories. */
  #toGamma(): string {
    if (this.#gamma === undefined) return '';
    const { secondary, proxy } = this.pair;
    const port = `s/port: ${proxy.port}/port: ${this.#gammaProxy!.port}/`;
    return `${port}; s#${secondary.directory}#${this.#gamma.directory}#`;
  }
}

type Part = { readonly step: string } | { readonly block: string };

/** Steps and blocks of a chapter, in the order of the page. */
function partsOf(chapter: string): Part[] {
  return [...chapter.matchAll(/<!-- test: (.*?) -->|^```sh\n([\s\S]*?)^```$/gm)].map(
    ([, step, block]) => (step === undefined ? { block: block! } : { step }),
  );
}

const [, ...chapters] = page.split(/^## /m);

test('every block of the page names its host, and every chapter begins somewhere', (t) => {
  t.true(chapters.length >= 7);
  for (const chapter of chapters) {
    const [title] = chapter.split('\n', 1);
    const [first] = partsOf(chapter);
    t.deepEqual(first, { step: 'begin' }, title);
  }
  const blocks = page.match(/^```/gm)?.length ?? 0;
  const typed = chapters.flatMap(partsOf).filter((part) => 'block' in part).length;
  t.is(typed * 2, blocks, 'no block is left out');
});

/** Known to fail: this chapter stops before its end. */
const unfinished = "Changes behind TDMF's back";

for (const chapter of chapters) {
  const [title = ''] = chapter.split('\n', 1);
  const known = title === unfinished ? test.failing : test;
  known(`docs/operations.md: ${title}`, async (t) => {
    t.timeout(180_000);
    const scope = new Scope();
    t.teardown(() => scope.end());
    const story = new Story(scope);
    for (const part of partsOf(chapter)) {
      if ('block' in part) await story.type(part.block);
      else await story.step(part.step);
    }
    t.pass();
  });
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { workerCount } from '../../src/engine/worker-count.ts';
import { usableCores } from '../../src/machine.ts';

const MB = 1e6;

describe('the number of workers', () => {
  test('on a CPU there is one worker per usable core', () => {
    const machine = { cores: 6, memoryBytes: 8000 * MB };
    expect(workerCount('cpu', 150 * MB, false, machine)).toEqual({
      workers: 6,
      reason: 'one per usable core',
    });
  });

  test('where half of the memory does not hold them all there are as many as it holds, and the reason says so', () => {
    const machine = { cores: 6, memoryBytes: 1000 * MB };
    expect(workerCount('cpu', 150 * MB, false, machine)).toEqual({
      workers: 3,
      reason: 'each takes 150 MB, and half of 1000 MB of memory is for workers',
    });
  });

  test('on a GPU there is one worker', () => {
    const machine = { cores: 16, memoryBytes: 64_000 * MB };
    expect(workerCount('cuda', 900 * MB, false, machine)).toEqual({ workers: 1, reason: 'one per GPU' });
  });

  test('on a CPU a large network has one, which uses every core', () => {
    const machine = { cores: 6, memoryBytes: 64_000 * MB };
    const expected = { workers: 1, reason: 'one for a large network, on every core' };
    expect(workerCount('cpu', 900 * MB, true, machine)).toEqual(expected);
  });

  test('there is always one, never more than cores, and never more than fit', () => {
    const sizes = { cores: fc.integer({ min: 1, max: 256 }), workerBytes: fc.integer({ min: 1, max: 4000 }) };
    const machines = fc.record({ ...sizes, memoryBytes: fc.integer({ min: 1, max: 100_000 }) });
    fc.assert(
      fc.property(machines, ({ cores, workerBytes, memoryBytes }) => {
        const { workers } = workerCount('cpu', workerBytes, false, { cores, memoryBytes });
        expect(workers).toBeGreaterThanOrEqual(1);
        expect(workers).toBeLessThanOrEqual(cores);
        if (workers > 1) expect(workers * workerBytes).toBeLessThanOrEqual(memoryBytes / 2);
        if (workers < cores) expect((workers + 1) * workerBytes).toBeGreaterThan(memoryBytes / 2);
      }),
    );
  });
});

describe('usable cores', () => {
  const cores = (affinity: number, files: Record<string, string>) =>
    usableCores(affinity, (file) => files[file]);

  test.each<[string, Record<string, string>, number]>([
    ['no control group', {}, 8],
    ['no quota', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' }, 8],
    [
      "a container's quota",
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '300000 100000\n' },
      3,
    ],
    ['a quota of part of a core', { '/sys/fs/cgroup/cpu.max': '150000 100000\n' }, 1],
    ['a quota below one core', { '/sys/fs/cgroup/cpu.max': '50000 100000\n' }, 1],
    ['a quota above the affinity', { '/sys/fs/cgroup/cpu.max': '1600000 100000\n' }, 8],
    [
      "a systemd unit's quota, and a lower one of the slice around it",
      {
        '/proc/self/cgroup': '0::/system.slice/ddpm.service\n',
        '/sys/fs/cgroup/system.slice/ddpm.service/cpu.max': '400000 100000\n',
        '/sys/fs/cgroup/system.slice/cpu.max': '200000 100000\n',
      },
      2,
    ],
    [
      'version 1 with a quota',
      {
        '/proc/self/cgroup': '2:cpu,cpuacct:/docker/1\n1:memory:/docker/1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      2,
    ],
    [
      'version 1 without one',
      {
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      8,
    ],
  ])('%s', (_, files, expected) => {
    expect(cores(8, files)).toBe(expected);
  });

  test('on this machine: at least one, and not more than the affinity has', () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores(1)).toBe(1);
  });
});

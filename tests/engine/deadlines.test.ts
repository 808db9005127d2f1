import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  type Deadlines,
  evaluationDeadlineMs,
  loadDeadlineMs,
  megabytesIn,
  Silence,
  slowestRecently,
} from '../../src/engine/deadlines.ts';

const deadlines: Deadlines = {
  loadMs: 100_000,
  loadMsPerMegabyte: 1_000,
  evaluationMs: 20_000,
  evaluationFactor: 10,
  idleMs: 10_000,
  checkIntervalMs: 1_000,
  exitGraceMs: 2_000,
  killGraceMs: 5_000,
};

test.each([
  ['fast ones get the shortest deadline', 1, 0.1, 20_000],
  ['slow ones a multiple of their time', 1, 5, 50_000],
  ['for each of their rows', 8, 5, 400_000],
  ['up to ten minutes', 64, 5, 600_000],
])('deadline of an evaluation: %s', (_, rows, rowSeconds, expected) => {
  expect(evaluationDeadlineMs(rows * rowSeconds, deadlines)).toBe(expected);
});

test('one slow evaluation lengthens the deadline at once, fast ones shorten it slowly', () => {
  const slow = slowestRecently(0.1, 4, 8);
  expect(slow).toBe(2);
  const next = slowestRecently(slow, 1, 0.1);
  expect(next).toBeGreaterThan(1.5);
  expect(next).toBeLessThan(slow);
  let later = next;
  for (let i = 0; i < 100; i++) later = slowestRecently(later, 1, 0.1);
  expect(later).toBe(0.1);
});

test('the deadline of loading grows with the size of the model, and is longer where engines are compiled', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sizes-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  expect(loadDeadlineMs('cpu', megabytesIn(folder), deadlines)).toBe(100_000);
  writeFileSync(path.join(folder, 'unet.onnx'), '');
  truncateSync(path.join(folder, 'unet.onnx'), 50_000_000);
  expect(loadDeadlineMs('cpu', megabytesIn(folder), deadlines)).toBe(150_000);
  expect(loadDeadlineMs('tensorrt', megabytesIn(folder), deadlines)).toBeGreaterThan(150_000);
  expect(megabytesIn('/nowhere')).toBe(0);
});

test('silence adds up from check to check, until an answer', () => {
  const silence = new Silence(1_000, 0);
  for (const nowMs of [1_000, 2_000, 3_500]) silence.check(nowMs);
  expect(silence.ms).toBe(3_500);
  silence.restart();
  expect(silence.ms).toBe(0);
  silence.check(4_500);
  expect(silence.ms).toBe(1_000);
});

test('time in which this process was stopped or blocked is no silence', () => {
  const silence = new Silence(1_000, 0);
  silence.check(1_000);
  silence.check(3_600_000);
  expect(silence.ms).toBe(1_000);
  silence.check(3_601_000);
  expect(silence.ms).toBe(2_000);
});

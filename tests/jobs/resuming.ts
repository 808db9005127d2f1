import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { JobQueue, JobQueueOptions } from '../../src/jobs/job.ts';

/** What both queues promise to a client whose Last-Event-ID was never issued. `open` is given the options of a queue. */
export function resumingSuite(open: (options: Partial<JobQueueOptions>) => Promise<JobQueue>) {
  const PAST_THE_END = 500;

  test('an event id that was not issued loses no end, whether the job runs or has ended', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const queue = await open({
      perform: async () => {
        await finished;
        return { files: [new Uint8Array(10)], mediaType: 'image/png', answer: {} };
      },
    });
    const { job } = await queue.submit({ id: randomUUID(), task: 'sample', fields: {} });
    const { signal } = new AbortController();
    const running = queue.events(job.id, PAST_THE_END, signal).next(); // it waits for the end
    await queue.events(job.id, 0, signal).next(); // the queue has answered the earlier reader as well
    finish();
    expect((await running).value).toMatchObject({ event: 'result' });
    const ended = [];
    for await (const { event } of queue.events(job.id, PAST_THE_END, signal)) ended.push(event);
    expect(ended).toEqual(['result']);
  });
}

import type { Operations } from './worker.ts';

/** Calls of the worker: every operation as an asynchronous function. */
export type Studio = {
  [Name in keyof Operations]: (
    ...args: Parameters<Operations[Name]>
  ) => Promise<Awaited<ReturnType<Operations[Name]>>>;
};

interface Reply {
  id: number;
  result?: unknown;
  error?: { name?: string; message?: string };
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (reason: Error) => void;
}

/** onBroken: called with a sentence when the worker could not be loaded. Every call fails with it then. */
export function startStudio(onBroken: (text: string) => void): Studio {
  const worker = new Worker('playground/worker.js', { type: 'module' });
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let broken: Error | undefined;
  worker.addEventListener('error', () => {
    broken = new Error('The page could not load completely. Reload it.');
    for (const { reject } of waiting.values()) reject(broken);
    waiting.clear();
    onBroken(broken.message);
  });
  worker.addEventListener('message', ({ data: { id, result, error } }: MessageEvent<Reply>) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (!error) return call?.resolve(result);
    call?.reject(Object.assign(new Error(error.message ?? 'failed'), { name: error.name ?? 'Error' }));
  });
  const call = (name: string, args: unknown[]) =>
    new Promise((resolve, reject) => {
      if (broken) return reject(broken);
      const id = ++last;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, name, args });
    });
  return new Proxy({} as Studio, {
    get:
      (_, name: string) =>
      (...args: unknown[]) =>
        call(name, args),
  });
}

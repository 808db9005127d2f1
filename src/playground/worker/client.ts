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

export function startStudio(): Studio {
  const worker = new Worker('playground/worker.js', { type: 'module' });
  const waiting = new Map<number, Waiting>();
  let last = 0;
  worker.addEventListener('message', ({ data: { id, result, error } }: MessageEvent<Reply>) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (!error) return call?.resolve(result);
    call?.reject(Object.assign(new Error(error.message ?? 'failed'), { name: error.name ?? 'Error' }));
  });
  const call = (name: string, args: unknown[]) =>
    new Promise((resolve, reject) => {
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

import { claim } from './claim.ts';
import { session } from './session.ts';

/** A tab that is on another page, or that the browser has put to sleep, claims no record. Its work is kept for this long. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** IndexedDB: one record of plain data for the page, and the files that it names. */
export class Database {
  #database: IDBDatabase | undefined;
  /** A tab keeps its record through reloads. That of a new tab is `current`, unless another open tab has it. */
  #record = 'current';
  /** Keys of the files that it has stored. */
  #stored = new Set<string>();

  /** False where the browser stores nothing, as in some private windows. */
  async open(): Promise<boolean> {
    try {
      this.#record = session.get('record') ?? this.#record;
      if (!(await claim(this.#record))) {
        this.#record = `tab-${Math.random().toString(36).slice(2)}`;
        await claim(this.#record);
      }
      session.set('record', this.#record); // a duplicated tab has a copy of the name, but not the record
      const request = indexedDB.open('ddpm-inpaint', 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore('records');
        request.result.createObjectStore('files');
      };
      this.#database = await done(request);
      await this.#dropAbandoned();
      const keys = (await done(this.#store('files', 'readonly').getAllKeys())).map(String);
      this.#stored = new Set(keys.filter((key) => key.startsWith(this.#prefix)));
      return true;
    } catch {
      return false;
    }
  }

  /** What the keys of this tab's files begin with. */
  get #prefix(): string {
    return `${this.#record}/`;
  }

  #transaction(mode: IDBTransactionMode): IDBTransaction {
    if (!this.#database) throw new Error('the database is not open');
    return this.#database.transaction(['records', 'files'], mode);
  }

  #store(name: 'records' | 'files', mode: IDBTransactionMode): IDBObjectStore {
    return this.#transaction(mode).objectStore(name);
  }

  /** Deletes what tabs stored long ago that are not open. The work of `current` is brought back in a new tab. */
  async #dropAbandoned(): Promise<void> {
    const abandoned = new Set<string>();
    const look = async (key: string) => {
      const { savedMs = 0 } = (await done(this.#store('records', 'readonly').get(key))) ?? {};
      if (Date.now() - savedMs >= KEPT_MS && (await claim(key))) abandoned.add(key);
    };
    const records = (await done(this.#store('records', 'readonly').getAllKeys())).map(String);
    await Promise.all(records.filter((key) => key !== 'current' && key !== this.#record).map(look));
    for (const store of ['files', 'records'] as const) {
      for (const key of await done(this.#store(store, 'readonly').getAllKeys()))
        if (abandoned.has(String(key).split('/')[0])) await done(this.#store(store, 'readwrite').delete(key));
    }
  }

  /**
   * Files that are there already are not written again; those that this record no longer names are deleted. All of it is
   * done or, where the browser's storage is full for example, nothing. Only the end of the transaction tells which.
   */
  async save(record: object, files: Map<string, () => Promise<Blob> | Blob>): Promise<void> {
    const named = new Set([...files.keys()].map((key) => this.#prefix + key));
    const added: [key: string, file: Blob][] = [];
    for (const [key, file] of files) // first: a transaction does not wait
      if (!this.#stored.has(this.#prefix + key)) added.push([this.#prefix + key, await file()]);
    const transaction = this.#transaction('readwrite');
    const stored = transaction.objectStore('files');
    for (const [key, file] of added) stored.put(file, key);
    for (const key of this.#stored) if (!named.has(key)) stored.delete(key);
    transaction.objectStore('records').put({ ...record, savedMs: Date.now() }, this.#record);
    await completed(transaction);
    this.#stored = named;
  }

  async load<T>(): Promise<{ record: T; file: (key: string) => Promise<Blob> } | undefined> {
    const record = (await done(this.#store('records', 'readonly').get(this.#record))) as T | undefined;
    if (!record) return undefined;
    const file = async (key: string) => {
      const found = await done(this.#store('files', 'readonly').get(this.#prefix + key));
      if (!(found instanceof Blob)) throw new Error(`${key} is not stored`);
      return found;
    };
    return { record, file };
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

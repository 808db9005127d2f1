import path from 'node:path';
import type { Logger } from 'pino';
import type { ModelCard } from '../model/card.ts';
import { ModelFolderError } from '../model/folder.ts';
import { Catalogue } from './catalogue.ts';
import { DefaultModel, type DefaultModelOptions, listVersions, newestUsable } from './default-model.ts';
import { type ModelOptions, ModelVersion } from './model-version.ts';
import type { ServedModel } from './served-model.ts';
import { describeShares, fractionOf, pickModel, type Share } from './shares.ts';

export interface RegistryOptions extends DefaultModelOptions, ModelOptions {
  /** Other names of models: MODEL_ALIASES. */
  aliases?: Readonly<Record<string, string>>;
  /** Milliseconds without a request after which a version that is not the default is unloaded; 0 (default): never. */
  idleMs?: number;
  log?: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** A request names a model that does not exist. */
export class UnknownModelError extends Error {
  override name = 'UnknownModelError';
}

export interface ModelRegistry {
  /** All versions, by id, newest first. */
  list(): ServedModel[];
  /**
   * The model for a request. `reference` is "id@version"; or "id", which means its default version if it has one and
   * its newest otherwise; or undefined, which means the default. Where the default is split, the seed (0..2^32-1)
   * decides, always in the same way; without a seed it is the version with the largest weight. A name of no model may be
   * an alias.
   * Throws UnknownModelError.
   */
  get(reference?: string, seed?: number): ServedModel;
  /** The fraction of requests without a model that goes to this one, 0..1. */
  shareOf(model: ServedModel): number;
  /** Scans MODEL_DIR and applies what has changed. Resolves when the changes are in effect; never rejects. */
  reload(): Promise<void>;
  /** Whether requests for the default model can be answered now. */
  readonly ready: boolean;
  /** Why not; undefined when ready. */
  readonly notReadyReason?: string;
  close(): Promise<void>;
}

/** Checks for idle versions in each idle period. */
const IDLE_CHECKS = 10;

/**
 * The model versions of a folder, kept up to date while the folder changes. A version that cannot be served is logged
 * and left out, and the versions before it keep serving. A new version takes over once it is loaded; the old one then
 * finishes its requests.
 */
export class FolderRegistry implements ModelRegistry {
  readonly #options: RegistryOptions;
  readonly #catalogue: Catalogue;
  readonly #defaultModel: DefaultModel;
  /** By id, newest first. */
  #versions: ModelVersion[] = [];
  /** The default model. Replaced only when all versions of the new default are loaded. */
  #shares: Share[] = [];
  /** Versions whose folder is gone, but which serve by default until another one is loaded. */
  readonly #withdrawn = new Set<ModelVersion>();
  /** Versions that get no new requests and still finish earlier ones. */
  readonly #retired = new Set<ModelVersion>();
  readonly #idleTimer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #closed = false;
  /** The last error logged by reload(), so that periodic reloads do not repeat it. */
  #lastComplaint = '';

  /**
   * Scans the folder; loads nothing. Rejects with ModelFolderError when there is no version to serve or the default
   * model is missing.
   */
  static async open(options: RegistryOptions): Promise<FolderRegistry> {
    const registry = new FolderRegistry(options);
    const { found, refused } = await registry.#catalogue.scan({ verify: false }); // loading verifies
    for (const { folder, why } of refused) registry.#refuse(refOfFolder(folder), why);
    registry.#versions = found
      .map(({ folder, card }) => registry.#version(folder, card))
      .sort(byIdThenNewest);
    registry.#shares = await registry.#resolveDefault();
    for (const [name, target] of Object.entries(options.aliases ?? {})) {
      if (!registry.#find(target))
        options.log?.warn(`MODEL_ALIASES: ${name}=${target}: ${registry.#unknown(target)}`);
    }
    return registry;
  }

  private constructor(options: RegistryOptions) {
    this.#options = options;
    this.#catalogue = new Catalogue(path.resolve(options.modelDir));
    this.#defaultModel = new DefaultModel(options);
    const { idleMs = 0 } = options;
    if (idleMs > 0) {
      this.#idleTimer = setInterval(() => this.#unloadIdle(idleMs), idleMs / IDLE_CHECKS).unref();
    }
  }

  /**
   * Loads the default model. Where the setting names an id without a version, an older version replaces one that cannot
   * be loaded. Rejects with ModelFolderError when nothing can be served.
   */
  async start(): Promise<void> {
    try {
      await this.#reconcile();
    } catch (error) {
      if (!this.ready) throw error; // one healthy version of a split is enough
      this.#complain(error as Error);
    }
  }

  list(): ModelVersion[] {
    return [...this.#versions];
  }

  get(reference?: string, seed?: number): ModelVersion {
    const target = this.#aliasOf(reference);
    const model = this.#find(reference, seed) ?? this.#find(target, seed);
    if (model) return model;
    const alias = reference === target ? '' : `, which ${reference} stands for`;
    throw new UnknownModelError(this.#unknown(`${target}${alias}`));
  }

  #unknown(reference: string): string {
    return `there is no model ${reference}; ${listVersions(this.#versions)}`;
  }

  /** The model that a name of no model stands for. A version (with @) that is missing is never replaced by another one. */
  #aliasOf(name = ''): string {
    const { aliases = {} } = this.#options;
    if (Object.hasOwn(aliases, name)) return aliases[name];
    return name.includes('@') ? name : (aliases['*'] ?? name);
  }

  #find(reference?: string, seed?: number): ModelVersion | undefined {
    const matches = ({ card, ref }: ModelVersion) =>
      reference === undefined || card.id === reference || ref === reference;
    const shares = this.#shares.filter(({ model }) => matches(model));
    if (shares.length > 0) return pickModel(shares, seed);
    const candidates = this.#versions.filter(matches);
    return candidates.length > 0 ? newestUsable(candidates) : undefined;
  }

  shareOf(model: ServedModel): number {
    return fractionOf(this.#shares, model);
  }

  get ready(): boolean {
    return this.notReadyReason === undefined;
  }

  get notReadyReason(): string | undefined {
    if (this.#shares.some(({ model }) => model.isHealthy)) return undefined;
    const { ref, state, reason } = this.#shares[0].model;
    if (state === 'failed') return `${ref} failed to load: ${reason}`;
    if (state !== 'ready') return `${ref} is loading`;
    return `${ref} has no live worker; replacements are starting`;
  }

  reload(): Promise<void> {
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined;
      this.#running = this.#applyChanges().catch((error) => this.#complain(error));
      return this.#running;
    });
    return this.#queued;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#idleTimer);
    await this.#running;
    await Promise.all([...this.#versions, ...this.#retired].map((model) => model.close()));
  }

  async #applyChanges() {
    if (this.#closed) return;
    const { found, refused, gone } = await this.#catalogue.scan({ verify: true });
    for (const { folder, why } of refused) this.#refuse(refOfFolder(folder), why);
    for (const { folder, card } of found) await this.#add(this.#version(folder, card));
    for (const model of this.#versions) if (gone.includes(model.folder)) this.#withdrawn.add(model);
    for (const model of this.#versions)
      if (model.state === 'failed' && !model.failedRecently && !this.#withdrawn.has(model))
        await this.#tryOpen(model); // now, so that no request waits for it
    try {
      await this.#reconcile();
      this.#lastComplaint = '';
    } finally {
      for (const model of this.#withdrawn) if (!this.#isDefault(model)) this.#remove(model);
    }
  }

  /** Adds a version, or replaces the one with the same number whose files have changed. */
  async #add(model: ModelVersion) {
    const { ref } = model;
    const old = this.#versions.find((other) => other.ref === ref);
    // Load it before it replaces a version that serves requests, so that no request waits for it.
    if ((old?.isHealthy || this.#supersedes(model)) && !(await this.#tryOpen(model))) {
      this.#catalogue.forget(model.folder); // copied again, it is tried again
      return;
    }
    this.#versions = [...this.#versions.filter((other) => other !== old), model].sort(byIdThenNewest);
    this.#shares = this.#shares.map((share) => (share.model === old ? { ...share, model } : share));
    if (old) this.#retire(old);
    this.#options.hooks?.onReload?.(ref, 'loaded');
    this.#options.log?.info(`${ref}: ${old ? 'changed' : 'new'} version is available`);
  }

  /** Whether requests for this version's id alone, served by an older version now, would go to this one. */
  #supersedes(model: ModelVersion): boolean {
    const sameId = this.#versions.filter(({ card }) => card.id === model.card.id);
    if (sameId.some((other) => this.#isDefault(other))) return false;
    return sameId.some((other) => other.isHealthy && byIdThenNewest(model, other) < 0);
  }

  /** Loads the default model that is wanted and puts it in effect. Rejects with ModelFolderError when it cannot. */
  async #reconcile(): Promise<void> {
    for (let shares = await this.#resolveDefault(); ; ) {
      const failed = shares.find(({ model }) => model.failedRecently)?.model;
      if (failed) throw new ModelFolderError(`${failed.ref} cannot be loaded: ${failed.reason}`);
      let opened = true;
      // One after the other: a GPU's batch size is measured while a model loads.
      for (const { model } of shares) opened = (await this.#tryOpen(model)) && opened;
      const wanted = await this.#resolveDefault(); // a reload may have run during the start
      if (opened && areSame(shares, wanted)) return this.#serve(shares);
      shares = wanted;
    }
  }

  #resolveDefault(): Promise<Share[]> {
    const available = this.#versions.filter((model) => !this.#withdrawn.has(model));
    return this.#defaultModel.resolve(available, this.#shares[0]?.model.card.id);
  }

  #serve(shares: Share[]) {
    const before = describeShares(this.#shares);
    this.#shares = shares;
    const now = describeShares(shares);
    if (now !== before) this.#options.log?.info(`the default model is now ${now}; it was ${before}`);
  }

  #version(folder: string, card: ModelCard): ModelVersion {
    return new ModelVersion(folder, card, this.#options);
  }

  #isDefault(model: ModelVersion): boolean {
    return this.#shares.some((share) => share.model === model);
  }

  /** Loads a version; logs the reason and returns false when that fails. */
  async #tryOpen(model: ModelVersion): Promise<boolean> {
    try {
      await model.open();
      return true;
    } catch (error) {
      this.#refuse(model.ref, (error as Error).message);
      return false;
    }
  }

  #refuse(ref: string, why: string) {
    this.#options.hooks?.onReload?.(ref, 'refused');
    this.#options.log?.error(why);
  }

  #remove(model: ModelVersion) {
    this.#withdrawn.delete(model);
    this.#versions = this.#versions.filter((other) => other !== model);
    this.#retire(model);
    this.#options.hooks?.onReload?.(model.ref, 'removed');
    this.#options.log?.info(`${model.ref}: removed from ${this.#options.modelDir}`);
  }

  #retire(model: ModelVersion) {
    this.#withdrawn.delete(model);
    this.#retired.add(model);
    void model.retire().finally(() => this.#retired.delete(model));
  }

  #unloadIdle(idleMs: number) {
    const now = performance.now();
    for (const model of this.#versions) {
      if (model.state === 'loading' || !model.admission.idle) model.lastUsedMs = now; // idle time begins at the end of the work
      const isIdle = model.state === 'ready' && now - model.lastUsedMs > idleMs;
      if (isIdle && !this.#isDefault(model)) void model.unload();
    }
  }

  #complain({ message }: Error) {
    if (message === this.#lastComplaint) return;
    this.#lastComplaint = message;
    this.#options.log?.error(`${message}; still serving ${describeShares(this.#shares)}`);
  }
}

/** The reference of the version in a folder <id>/<version>. */
const refOfFolder = (folder: string) => folder.split(path.sep).slice(-2).join('@');

const areSame = (a: readonly Share[], b: readonly Share[]) =>
  a.length === b.length && a.every(({ model, weight }, i) => model === b[i].model && weight === b[i].weight);

function byIdThenNewest({ card: a }: ServedModel, { card: b }: ServedModel): number {
  return a.id.localeCompare(b.id, 'en', { numeric: true }) || Number(b.version) - Number(a.version);
}

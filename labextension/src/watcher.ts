/**
 * What the panel shows, kept up to date without a polling storm.
 *
 * One cheap request (`status`, which reads two small files) every few seconds, and none while the panel or the page is
 * hidden. Lists are asked for again only when the numbers in it have grown; endpoints also while they serve, since
 * their figures change without a change of state.
 */

import { Poll } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';

import type { ApprovalList, Endpoint, ModelList, Status, VersionList } from './api';
import { ClientError, type Client } from './client';

/** Why the panel cannot show lists. */
export interface Obstacle {
  readonly title: string;
  readonly remedy: string;
}

export interface Source {
  readonly client: Client;
  readonly workspace: string | null;
}

export interface Snapshot {
  readonly status: Status | null;
  /** The first page of the models, as long as was asked for. */
  readonly models: ModelList | null;
  /** The requests that wait for a decision. */
  readonly approvals: ApprovalList | null;
  readonly endpoints: readonly Endpoint[] | null;
  readonly obstacle: Obstacle | null;
}

const EMPTY: Snapshot = { status: null, models: null, approvals: null, endpoints: null, obstacle: null };
const INTERVAL_MS = 4000;
const LONGEST_INTERVAL_MS = 60_000;
/** How many models are listed at once, and how many more by each wish for more; the server gives so many at most. */
const PAGE = 100;
const LONGEST_PAGE = 1000;

export class Watcher {
  /**
   * @param version of this page's code; the server's must be the same
   * @param isVisible whether anybody sees the panel
   */
  constructor(
    private readonly client: Client,
    private readonly version: string,
    isVisible: () => boolean
  ) {
    this.poll = new Poll({
      name: 'dwcp_jupyter:status',
      auto: false,
      factory: () => this.look(),
      frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_INTERVAL_MS },
      standby: () => (isVisible() ? 'when-hidden' : true)
    });
  }

  get changed(): ISignal<this, Snapshot> {
    return this._changed;
  }

  get snapshot(): Snapshot {
    return this._snapshot;
  }

  /** Look now and go on looking. */
  start(): void {
    void this.poll.start();
    void this.poll.refresh();
  }

  /** Ask for everything again. */
  async refresh(): Promise<void> {
    this.isStale = true;
    await this.poll.refresh();
  }

  /** Show another workspace. */
  select(workspace: string | null): void {
    this.workspace = workspace;
    this.listed = PAGE;
    this.publish({ ...EMPTY, status: this._snapshot.status });
    void this.refresh();
  }

  /** Whether more models can be listed. */
  get canShowMore(): boolean {
    return this._snapshot.models?.next != null && this.listed < LONGEST_PAGE;
  }

  showMore(): void {
    this.listed = Math.min(this.listed + PAGE, LONGEST_PAGE);
    void this.refresh();
  }

  /** The highest versions of a model. */
  versions(model: string, limit: number): Promise<VersionList> {
    return this.client.versions(this.workspace, model, limit);
  }

  /** Where the workspace that is shown now can be asked, also when another one is shown later. */
  get source(): Source {
    return { client: this.client, workspace: this.workspace };
  }

  /** Change something, then show what is there now, whether it succeeded or not. */
  async change<T>(call: (client: Client, workspace: string | null) => Promise<T>): Promise<T> {
    try {
      return await call(this.client, this.workspace);
    } finally {
      void this.refresh();
    }
  }

  dispose(): void {
    this.poll.dispose();
    Signal.clearData(this);
  }

  private async look(): Promise<void> {
    const workspace = this.workspace;
    try {
      const next = await this.next(workspace);
      if (workspace === this.workspace && !this.poll.isDisposed) {
        this.publish(next);
      }
    } catch (error) {
      if (workspace !== this.workspace || this.poll.isDisposed) {
        return;
      }
      this.isStale = true;
      if (workspace !== null && error instanceof ClientError && error.status === 404) {
        this.select(null); // the server restarted and no longer knows that workspace
        return;
      }
      this.publish({ ...EMPTY, status: this._snapshot.status, obstacle: obstacleOf(error) });
      throw error; // lets the poll back off
    }
  }

  private async next(workspace: string | null): Promise<Snapshot> {
    const { status: known, models, approvals, endpoints } = this._snapshot;
    const status = await this.client.status(workspace);
    if (status.version !== this.version) {
      return { ...EMPTY, status, obstacle: mismatch(this.version, status.version) };
    }
    const isStale = this.isStale || known === null || known.workspace.id !== status.workspace.id;
    const isChanged = isStale || known.sequence !== status.sequence;
    const isMoved = isChanged || known.state_sequence !== status.state_sequence || known.is_serving !== status.is_serving;
    const isServing = status.is_serving && endpoints !== null && endpoints.length > 0;
    const [nextModels, nextApprovals, nextEndpoints] = await Promise.all([
      isChanged || models === null ? this.client.models(workspace, this.listed) : models,
      isChanged || approvals === null ? this.client.pendingApprovals(workspace) : approvals,
      isMoved || isServing || endpoints === null
        ? this.client.endpoints(workspace).then(answer => answer.endpoints)
        : endpoints
    ]);
    this.isStale = false;
    return { status, models: nextModels, approvals: nextApprovals, endpoints: nextEndpoints, obstacle: null };
  }

  private publish(snapshot: Snapshot): void {
    this._snapshot = snapshot;
    this._changed.emit(snapshot);
  }

  private readonly poll: Poll;
  private readonly _changed = new Signal<this, Snapshot>(this);
  private _snapshot: Snapshot = EMPTY;
  private workspace: string | null = null;
  private isStale = false;
  private listed = PAGE;
}

function mismatch(page: string, server: string): Obstacle {
  return {
    title: `This page has dwcp_jupyter ${page}, the server ${server}.`,
    remedy: 'Reload the page. If the message stays, restart Jupyter so that it loads the installed version.'
  };
}

function obstacleOf(error: unknown): Obstacle {
  if (!(error instanceof ClientError)) {
    return { title: 'The panel failed.', remedy: String(error) };
  }
  if (error.status === 404) {
    return {
      title: 'The server part of dwcp_jupyter is not loaded.',
      remedy: 'Enable it with “jupyter server extension enable dwcp_jupyter” and restart Jupyter; its log says why if it fails.'
    };
  }
  if (error.status === 0) {
    return { title: error.message, remedy: 'The panel goes on by itself when the server is back.' };
  }
  return { title: 'The workspace cannot be read.', remedy: error.message };
}

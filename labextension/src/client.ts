/**
 * The control plane, as one function per question.
 *
 * Requests go through the server connection of JupyterLab, which knows base URL, token and cookie.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type {
  AliasRequest,
  Approval,
  ApprovalList,
  ApprovalRequest,
  EndpointList,
  History,
  Judgement,
  Lineage,
  Model,
  ModelList,
  Problem,
  PromotionRequest,
  RollbackRequest,
  Status,
  Version,
  VersionList
} from './api';

/** Looking is no activity: it must not keep a server from being culled. */
const UNTRACKED = { no_track_activity: '1' };

/** An answer that is not the one asked for. */
export class ClientError extends Error {
  /**
   * @param status the HTTP status, 0 if no answer came
   * @param kind of error, as the server calls it
   * @param failures each check that failed
   */
  constructor(
    readonly status: number,
    message: string,
    readonly kind = '',
    readonly failures: readonly string[] = []
  ) {
    super(message);
  }
}

export class Client {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  status(workspace: string | null): Promise<Status> {
    return this.ask(workspace, ['status']);
  }

  models(workspace: string | null, limit: number): Promise<ModelList> {
    return this.ask(workspace, ['models'], { limit: `${limit}` });
  }

  versions(workspace: string | null, model: string, limit: number): Promise<VersionList> {
    return this.ask(workspace, ['models', model, 'versions'], { limit: `${limit}` });
  }

  /** The changes of a model, or of one of its versions, the newest first. */
  history(workspace: string | null, model: string, version: string | null, limit: number): Promise<History> {
    const query = { limit: `${limit}`, ...(version === null ? {} : { version }) };
    return this.ask(workspace, ['models', model, 'history'], query);
  }

  lineage(workspace: string | null, model: string, version: string): Promise<Lineage> {
    return this.ask(workspace, ['models', model, 'versions', version, 'lineage']);
  }

  endpoints(workspace: string | null): Promise<EndpointList> {
    return this.ask(workspace, ['endpoints']);
  }

  /** The requests that wait for a decision, the newest first. */
  pendingApprovals(workspace: string | null): Promise<ApprovalList> {
    return this.ask(workspace, ['approvals'], { state: 'pending' });
  }

  requestApproval(workspace: string | null, body: ApprovalRequest): Promise<Approval> {
    return this.send(workspace, 'POST', ['approvals'], body);
  }

  approve(workspace: string | null, id: string, body: Judgement): Promise<Approval> {
    return this.send(workspace, 'POST', ['approvals', id, 'approve'], body);
  }

  reject(workspace: string | null, id: string, body: Judgement): Promise<Approval> {
    return this.send(workspace, 'POST', ['approvals', id, 'reject'], body);
  }

  promote(workspace: string | null, model: string, version: string, body: PromotionRequest): Promise<Version> {
    return this.send(workspace, 'POST', ['models', model, 'versions', version, 'promote'], body);
  }

  rollback(workspace: string | null, model: string, body: RollbackRequest): Promise<Version> {
    return this.send(workspace, 'POST', ['models', model, 'rollback'], body);
  }

  setAlias(workspace: string | null, model: string, alias: string, body: AliasRequest): Promise<Version> {
    return this.send(workspace, 'PUT', ['models', model, 'aliases', alias], body);
  }

  removeAlias(workspace: string | null, model: string, alias: string): Promise<Model> {
    return this.send(workspace, 'DELETE', ['models', model, 'aliases', alias]);
  }

  private ask<T>(workspace: string | null, path: readonly string[], query: Record<string, string> = {}): Promise<T> {
    return this.fetch(workspace, path, {}, { ...query, ...UNTRACKED });
  }

  private send<T>(workspace: string | null, method: string, path: readonly string[], body?: object): Promise<T> {
    return this.fetch(workspace, path, body === undefined ? { method } : { method, body: JSON.stringify(body) });
  }

  private async fetch<T>(
    workspace: string | null,
    path: readonly string[],
    init: RequestInit,
    query: Record<string, string> = {}
  ): Promise<T> {
    const prefix = workspace === null ? ['dwcp'] : ['dwcp', 'w', workspace];
    const url = URLExt.join(this.settings.baseUrl, ...prefix, 'api', ...path.map(encodeURIComponent));
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url + URLExt.objectToQueryString(query), init, this.settings);
    } catch {
      throw new ClientError(0, 'The Jupyter server does not answer.');
    }
    if (!response.ok) {
      throw await problemOf(response);
    }
    return (await response.json()) as T;
  }
}

async function problemOf(response: Response): Promise<ClientError> {
  try {
    const problem = (await response.json()) as Problem;
    return new ClientError(response.status, problem.message, problem.error, problem.failures);
  } catch {
    return new ClientError(response.status, `The server answered ${response.status} ${response.statusText}.`);
  }
}

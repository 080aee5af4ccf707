/**
 * The control plane, as one function per question.
 *
 * Requests go through the server connection of JupyterLab, which knows base URL, token and cookie.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { EndpointList, ModelList, Problem, Status, VersionList } from './api';

/** Looking is no activity: it must not keep a server from being culled. */
const UNTRACKED = '?no_track_activity=1';

/** An answer that is not the one asked for. */
export class ClientError extends Error {
  /** @param status the HTTP status, 0 if no answer came */
  constructor(
    readonly status: number,
    message: string
  ) {
    super(message);
  }
}

export class Client {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  status(workspace: string | null): Promise<Status> {
    return this.get(workspace, 'status');
  }

  models(workspace: string | null): Promise<ModelList> {
    return this.get(workspace, 'models');
  }

  versions(workspace: string | null, model: string): Promise<VersionList> {
    return this.get(workspace, 'models', encodeURIComponent(model), 'versions');
  }

  endpoints(workspace: string | null): Promise<EndpointList> {
    return this.get(workspace, 'endpoints');
  }

  private async get<T>(workspace: string | null, ...path: string[]): Promise<T> {
    const prefix = workspace === null ? ['dwcp'] : ['dwcp', 'w', workspace];
    const url = URLExt.join(this.settings.baseUrl, ...prefix, 'api', ...path) + UNTRACKED;
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, {}, this.settings);
    } catch {
      throw new ClientError(0, 'The Jupyter server does not answer.');
    }
    if (!response.ok) {
      throw new ClientError(response.status, await problemOf(response));
    }
    return (await response.json()) as T;
  }
}

async function problemOf(response: Response): Promise<string> {
  try {
    return ((await response.json()) as Problem).message;
  } catch {
    return `The server answered ${response.status} ${response.statusText}.`;
  }
}

// Made from dwcp_jupyter/server/openapi.yaml by `python -m dwcp_jupyter.server.typescript`; not to be edited.

/** An endpoint and how it does. */
export interface Endpoint {
  readonly id: string;
  readonly name: string;
  readonly model: string;
  readonly version: string;
  /** `model@version` */
  readonly reference: string;
  readonly status: EndpointStatus;
  /** Why it failed. */
  readonly reason: string | null;
  readonly lifetime: 'server' | 'caller' | 'detached';
  /** Whether it runs compiled, in the gateway itself. */
  readonly is_compiled: boolean;
  /** Why it runs compiled or natively. */
  readonly execution_reason: string;
  readonly replicas: Replicas;
  /** Null while no gateway answers. */
  readonly figures: EndpointMetrics | null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** All endpoints, by name. */
export interface EndpointList {
  readonly endpoints: readonly Endpoint[];
}

/** The figures of an endpoint, added up over its processes. Latencies and throughput cover the last five minutes. */
export interface EndpointMetrics {
  readonly requests: number;
  readonly errors: number;
  readonly error_rate: number;
  readonly rejected_requests: number;
  readonly rows: number;
  readonly avg_latency_ms: number;
  readonly p50_latency_ms: number;
  readonly p95_latency_ms: number;
  readonly p99_latency_ms: number;
  /** Requests per second. */
  readonly throughput: number;
  readonly in_flight: number;
  readonly queued: number;
  readonly current_replicas: number;
}

/** How far an endpoint has come. */
export type EndpointStatus = 'starting' | 'ready' | 'degraded' | 'failed' | 'stopped';

/** A change, as the audit trail keeps it. */
export interface Event {
  readonly seq: number;
  readonly time: string;
  readonly kind: string;
  readonly subject: string;
  readonly actor: string;
  readonly assurance: 'asserted' | 'authenticated';
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Changes in their order. */
export interface EventList {
  readonly events: readonly Event[];
  /** Number of the newest change of all; greater than the last one here if `limit` cut the list. */
  readonly sequence: number;
}

/** A model; its figures are those of its highest version. */
export interface Model {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly task_type: string | null;
  readonly tags: readonly string[];
  readonly version_count: number;
  /** Its highest version. */
  readonly latest: string | null;
  /** The highest version in each stage that has one. */
  readonly stages: Readonly<Record<string, string>>;
  /** Alias to version. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly metrics: Readonly<Record<string, number>>;
  readonly created_at: string;
  readonly updated_at: string;
}

/** All models, by name. */
export interface ModelList {
  readonly models: readonly Model[];
}

/** What went wrong, and what to do about it. */
export interface Problem {
  /** The kind of error, e.g. `ModelNotFoundError`. */
  readonly error: string;
  readonly message: string;
}

/** Processes that have the model loaded. */
export interface Replicas {
  readonly ready: number;
  readonly wanted: number;
}

/** Where a version stands. */
export type Stage = 'development' | 'staging' | 'production' | 'archived';

/** The server part and its workspaces. */
export interface Status {
  /** The version of the Python package that runs in the server. */
  readonly version: string;
  readonly workspace: Workspace;
  /** All that this server knows. */
  readonly workspaces: readonly Workspace[];
  /** Number of the newest change; 0 for none. Lists are worth asking for again when it has grown. */
  readonly sequence: number;
  /** Grows when a process starts or ends. */
  readonly state_sequence: number;
  /** Whether a supervisor runs for this workspace. */
  readonly is_serving: boolean;
}

/** A version of a model. */
export interface Version {
  readonly id: string;
  /** `name@version` */
  readonly reference: string;
  readonly version: string;
  readonly stage: Stage;
  /** Whether it has no model file yet. */
  readonly is_draft: boolean;
  readonly framework: string | null;
  readonly framework_version: string | null;
  readonly sha256: string | null;
  readonly size_bytes: number | null;
  readonly metrics: Readonly<Record<string, number>>;
  readonly tags: readonly string[];
  readonly aliases: readonly string[];
  readonly description: string;
  readonly changelog: string;
  readonly created_at: string | null;
  readonly created_by: string;
}

/** The versions of a model, the highest first. */
export interface VersionList {
  readonly versions: readonly Version[];
}

/** A workspace that this server knows. */
export interface Workspace {
  /** Names it in `/dwcp/w/{id}`. */
  readonly id: string;
  /** The folder that it lies in. */
  readonly name: string;
  /** Its folder, from the server's root folder where it lies below that. */
  readonly path: string;
  /** False until the first write. */
  readonly exists: boolean;
  /** Whether it is that of the server's root folder. */
  readonly is_default: boolean;
}

// Made from dwcp_jupyter/server/openapi.yaml by `python -m dwcp_jupyter.server.typescript`; not to be edited.

/** Whoever is signed in, as the record will name them. */
export interface Actor {
  readonly name: string;
  readonly assurance: Assurance;
}

/** What an alias is to mean. */
export interface AliasRequest {
  readonly version: string;
}

/** A request to move a version to a stage or a protected alias, with what was said of it and what to judge by. */
export interface Approval {
  readonly id: string;
  /** `name@version`; the version's id if it was deleted. */
  readonly model: string;
  readonly version_id: string;
  readonly stage: Target;
  readonly state: ApprovalState;
  readonly requested_by: string;
  readonly assurance: Assurance;
  readonly justification: string;
  readonly requested_at: string;
  readonly expires_at: string;
  /** What a pending request still lacks, in words. */
  readonly missing: string | null;
  /** Why whoever asks cannot approve it; null where they can. */
  readonly obstacle: string | null;
  /** Whether whoever asks can reject it. */
  readonly may_reject: boolean;
  readonly decisions: readonly Decision[];
  /** Where the version stands now; null if it was deleted. */
  readonly from_stage: Stage | null;
  readonly metrics: Readonly<Record<string, number>>;
  /** Each check of the stage's policy, on the evidence as it is now. */
  readonly checks: readonly CheckResult[];
}

/** Requests for approval, the newest first. */
export interface ApprovalList {
  readonly approvals: readonly Approval[];
  /** How many there are on all pages. */
  readonly total: number;
}

/** Ask for a version to be approved for a stage or a protected alias. */
export interface ApprovalRequest {
  /** `name@version` */
  readonly model: string;
  readonly stage?: Target;
  readonly justification?: string;
}

/** Where a request stands. */
export type ApprovalState = 'pending' | 'approved' | 'rejected' | 'expired' | 'stale';

/** How sure it is who acts: said by a process, or proven to the Jupyter server. */
export type Assurance = 'asserted' | 'authenticated';

/** A change of a model's stages or aliases. */
export interface Change {
  readonly time: string;
  readonly version: string;
  /** In words, e.g. `staging → production`. */
  readonly change: string;
  readonly actor: string;
}

/** What became of one check of a policy. */
export interface CheckResult {
  /** As it was written, e.g. `metrics.test_accuracy >= 0.95`. */
  readonly check: string;
  readonly is_passed: boolean;
  /** The recorded value, or that there is none. */
  readonly found: string;
}

/** Two versions side by side. */
export interface Comparison {
  /** `name@version` */
  readonly a: string;
  /** `name@version` */
  readonly b: string;
  readonly metrics: readonly MetricDifference[];
  /** The better one; null for a tie or where it cannot be told. */
  readonly winner: string | null;
  readonly reason: string;
  readonly primary_metric: string | null;
  readonly time: string | null;
  readonly actor: string | null;
}

/** Comparisons that were made, the newest first. */
export interface ComparisonList {
  readonly comparisons: readonly Comparison[];
  /** How many there are on all pages. */
  readonly total: number;
}

/** Put two versions side by side. */
export interface ComparisonRequest {
  /** `name@version` */
  readonly a: string;
  /** `name@version` */
  readonly b: string;
  /** The metric that decides. */
  readonly primary_metric?: string | null;
}

/** What one reviewer said. */
export interface Decision {
  readonly reviewer: string;
  readonly assurance: Assurance;
  readonly is_approved: boolean;
  readonly comment: string;
  readonly time: string;
}

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
  readonly assurance: Assurance;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Changes in their order. */
export interface EventList {
  readonly events: readonly Event[];
  /** Number of the newest change of all; greater than the last one here if `limit` cut the list. */
  readonly sequence: number;
}

/** Changes of a model's stages and aliases, the newest first. */
export interface History {
  readonly changes: readonly Change[];
  /** How many there are on all pages. */
  readonly total: number;
}

/** What a reviewer says. */
export interface Judgement {
  readonly comment?: string;
}

/** The graph around a version; without cycles. */
export interface Lineage {
  /** `name@version` */
  readonly version: string;
  readonly nodes: readonly LineageNode[];
  readonly edges: readonly LineageEdge[];
  /** Whether there are older or younger versions than those here. */
  readonly is_cut: boolean;
  /** Null where it is too large to be drawn. */
  readonly picture: LineagePicture | null;
}

/** A drawn edge. */
export interface LineageArrow {
  readonly source: string;
  readonly target: string;
  /** The path of its line. */
  readonly d: string;
  /** Of its tip. */
  readonly x: number;
  readonly y: number;
}

/** A drawn node. */
export interface LineageBox {
  /** Of the node. */
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** The label as it fits. */
  readonly text: string;
}

/** From what was there before to what came of it. */
export interface LineageEdge {
  readonly source: string;
  readonly target: string;
  readonly role: string;
}

/** One thing that a version comes from, or that came of it. */
export interface LineageNode {
  readonly id: string;
  readonly kind: 'data' | 'code' | 'run' | 'version' | 'deleted' | 'endpoint';
  readonly label: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Where to draw what, in pixels; arrows go to the right. */
export interface LineagePicture {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly LineageBox[];
  readonly arrows: readonly LineageArrow[];
}

/** One metric of two versions. */
export interface MetricDifference {
  readonly name: string;
  readonly a: number | null;
  readonly b: number | null;
  /** b - a */
  readonly difference: number | null;
  /** Null where nothing tells. */
  readonly higher_is_better: boolean | null;
  /** `a`, `b`, `tie`, or null where that cannot be said. */
  readonly better: string | null;
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

/** A page of the models, by name. */
export interface ModelList {
  /** What to give as `after` for the next page; null at the end. */
  readonly next: string | null;
  readonly models: readonly Model[];
}

/** What a stage or an alias asks for, with what it inherits. */
export interface Policy {
  readonly reviewers: number;
  readonly roles: Readonly<Record<string, readonly string[]>>;
  readonly require: readonly string[];
  readonly expires_after_days: number;
  readonly assurance: Assurance;
  readonly checks: readonly string[];
  readonly stages: readonly Stage[];
}

/** What a stage or an alias is to ask for. */
export interface PolicyRequest {
  /** The fields of a policy; one that is left out is inherited. */
  readonly policy: Readonly<Record<string, unknown>>;
}

/** What went wrong, and what to do about it. */
export interface Problem {
  /** The kind of error, e.g. `ModelNotFoundError`. */
  readonly error: string;
  readonly message: string;
  /** Each check that failed with the value found */
  readonly failures?: readonly string[];
}

/** Move a version to a stage. */
export interface PromotionRequest {
  readonly stage: Stage;
  /** Answer as if it had happened and change nothing. */
  readonly dry_run?: boolean;
}

/** Processes that have the model loaded. */
export interface Replicas {
  readonly ready: number;
  readonly wanted: number;
}

/** Put the former version back into production. */
export interface RollbackRequest {
  /** The version that should come back; another one is refused with 409. */
  readonly expected?: string | null;
  /** Answer as if it had happened and change nothing. */
  readonly dry_run?: boolean;
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
  readonly actor: Actor;
}

/** Where a version is to go: a stage, or a protected alias, written `@champion`. */
export type Target = string;

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

/** A page of the versions of a model, the highest first. */
export interface VersionList {
  /** What to give as `after` for the next page; null at the end. */
  readonly next: string | null;
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

/** A version in a tab of its own: where it comes from and what came of it, and what happened to it. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';

import type { Change } from './api';
import * as format from './format';
import { dwcpIcon } from './icon';
import { LineageGraph } from './lineage';
import { More, useAnswer } from './parts';
import type { Source, Watcher } from './watcher';

const PAGE = 50;
const LONGEST_PAGE = 500;

/** Open the tab of a version, or go to it. */
export function openVersion(app: JupyterFrontEnd, watcher: Watcher, model: string, version: string): void {
  const id = `dwcp-version-${watcher.snapshot.status?.workspace.id}-${model}@${version}`;
  const existing = [...app.shell.widgets('main')].find(widget => widget.id === id);
  if (existing === undefined) {
    const open = (name: string, number: string) => openVersion(app, watcher, name, number);
    const widget = new MainAreaWidget({ content: new VersionTab(watcher, model, version, open) });
    widget.id = id;
    widget.title.label = `${model}@${version}`;
    widget.title.icon = dwcpIcon;
    widget.title.closable = true;
    app.shell.add(widget, 'main');
  }
  app.shell.activateById(id);
}

type Open = (model: string, version: string) => void;

class VersionTab extends ReactWidget {
  constructor(
    private readonly watcher: Watcher,
    private readonly model: string,
    private readonly version: string,
    private readonly open: Open
  ) {
    super();
    this.addClass('dwcp-Tab');
    this.source = watcher.source;
    this.shown = watcher.snapshot.status?.workspace.id;
    this.sequence = watcher.snapshot.status?.sequence ?? 0;
    watcher.changed.connect(this.onChanged, this);
  }

  override dispose(): void {
    this.watcher.changed.disconnect(this.onChanged, this);
    super.dispose();
  }

  protected override render(): JSX.Element {
    const reference = `${this.model}@${this.version}`;
    return (
      <>
        <h1>{reference}</h1>
        <section aria-label={`Lineage of ${reference}`}>
          <h2>Lineage</h2>
          <LineageView source={this.source} model={this.model} version={this.version} sequence={this.sequence} open={this.open} />
        </section>
        <section aria-label={`History of ${reference}`}>
          <h2>History</h2>
          <HistoryView source={this.source} model={this.model} version={this.version} sequence={this.sequence} />
        </section>
      </>
    );
  }

  /** Ask again when something changed in the workspace that this tab is about. */
  private onChanged(): void {
    const { status } = this.watcher.snapshot;
    if (status !== null && status.workspace.id === this.shown && status.sequence !== this.sequence) {
      this.sequence = status.sequence;
      this.update();
    }
  }

  private readonly source: Source;
  private readonly shown: string | undefined;
  private sequence: number;
}

interface Place {
  readonly source: Source;
  readonly model: string;
  readonly version: string;
  readonly sequence: number;
}

function LineageView(props: Place & { open: Open }): JSX.Element {
  const { source, model, version, sequence, open } = props;
  const { found, problem } = useAnswer(
    () => source.client.lineage(source.workspace, model, version),
    [source, model, version, sequence]
  );
  if (problem !== null) {
    return <p className="dwcp-Problem" role="alert">{problem}</p>;
  }
  return found === null ? <></> : <LineageGraph lineage={found} open={open} />;
}

function HistoryView({ source, model, version, sequence }: Place): JSX.Element {
  const [isWhole, setWhole] = React.useState(false);
  const [limit, setLimit] = React.useState(PAGE);
  const { found, problem } = useAnswer(
    () => source.client.history(source.workspace, model, isWhole ? null : version, limit),
    [source, model, version, sequence, isWhole, limit]
  );
  if (problem !== null) {
    return <p className="dwcp-Problem" role="alert">{problem}</p>;
  }
  return (
    <>
      <label className="dwcp-Choice">
        <input type="checkbox" checked={isWhole} onChange={event => setWhole(event.target.checked)} /> All versions of {model}
      </label>
      <table className="dwcp-Table">
        <thead>
          <tr>
            <th scope="col">Time</th>
            {isWhole ? <th scope="col">Version</th> : null}
            <th scope="col">Change</th>
            <th scope="col">By</th>
          </tr>
        </thead>
        <tbody>
          {(found?.changes ?? []).map((change, index) => (
            <ChangeRow key={index} change={change} isWhole={isWhole} />
          ))}
        </tbody>
      </table>
      {found !== null && found.total > found.changes.length && limit < LONGEST_PAGE ? (
        <More what={`of ${format.exact(found.total)}`} onClick={() => setLimit(Math.min(limit + PAGE, LONGEST_PAGE))} />
      ) : null}
    </>
  );
}

function ChangeRow({ change, isWhole }: { change: Change; isWhole: boolean }): JSX.Element {
  return (
    <tr>
      <td>
        <time dateTime={change.time}>{format.exactTime(change.time)}</time>
      </td>
      {isWhole ? <td>{change.version}</td> : null}
      <td>{change.change}</td>
      <td>{change.actor}</td>
    </tr>
  );
}

/**
 * The side panel: which workspace, then models, what waits for a decision, and endpoints.
 *
 * It draws what a `Watcher` found; `Actions` are what can be done.
 */

import { ReactWidget, refreshIcon, SidePanel, Toolbar, ToolbarButton } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import React from 'react';

import { Actions, type OpenVersion } from './actions';
import type { Version } from './api';
import { Approvals } from './approvals';
import { Endpoints } from './endpoints';
import { dwcpIcon } from './icon';
import { PopupMenu } from './menu';
import { Models } from './models';
import type { Obstacle, Snapshot, Watcher } from './watcher';

export class DwcpPanel extends SidePanel {
  /** @param open shows a version in a tab of its own */
  constructor(
    private readonly watcher: Watcher,
    open: OpenVersion
  ) {
    super();
    this.actions = new Actions(watcher, open);
    this.id = 'dwcp-panel';
    this.addClass('dwcp-Panel');
    this.title.icon = dwcpIcon;
    this.title.caption = 'Models and endpoints';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Models and endpoints');
    this.header.addWidget(new Section(watcher, drawHeader));
    this.toolbar.node.setAttribute('aria-label', 'Models and endpoints');
    this.toolbar.addItem('workspace', new Section(watcher, snapshot => this.drawWorkspace(snapshot)));
    this.toolbar.addItem('spacer', Toolbar.createSpacerItem());
    this.toolbar.addItem(
      'refresh',
      new ToolbarButton({ icon: refreshIcon, tooltip: 'Refresh models and endpoints', onClick: () => void watcher.refresh() })
    );
    watcher.changed.connect((_, { obstacle }) => this.toggleClass('dwcp-mod-obstructed', obstacle !== null));
    this.addSection('Models', ({ models }) => (models === null ? undefined : `${models.models.length}${models.next === null ? '' : '+'}`), snapshot => this.drawModels(snapshot));
    this.addSection('Approvals', ({ approvals }) => approvals?.total, snapshot => this.drawApprovals(snapshot));
    this.addSection('Endpoints', ({ endpoints }) => endpoints?.length, drawEndpoints);
  }

  override dispose(): void {
    this.menu.dispose();
    this.watcher.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.watcher.start();
  }

  private addSection(label: string, count: (snapshot: Snapshot) => number | string | undefined, draw: Draw): void {
    const section = new Section(this.watcher, draw);
    section.addClass('dwcp-Section');
    section.title.label = label;
    this.watcher.changed.connect((_, snapshot) => {
      const found = count(snapshot);
      section.title.label = found && found !== '0' ? `${label} (${found})` : label;
    });
    this.addWidget(section);
  }

  private drawModels({ models }: Snapshot): JSX.Element {
    return models === null ? (
      <></>
    ) : (
      <Models
        models={models.models}
        versions={this.versions}
        openMenu={this.openMenu}
        showMore={this.watcher.canShowMore ? this.showMore : null}
      />
    );
  }

  private drawApprovals({ approvals, status }: Snapshot): JSX.Element {
    return approvals === null || status === null ? (
      <></>
    ) : (
      <Approvals approvals={approvals} actor={status.actor} actions={this.actions} />
    );
  }

  private drawWorkspace({ status }: Snapshot): JSX.Element {
    if (status === null) {
      return <></>;
    }
    const others = status.workspaces;
    if (others.length < 2) {
      return (
        <span className="dwcp-Workspace" title={`Workspace in ${status.workspace.path}`}>
          {status.workspace.name}
        </span>
      );
    }
    return (
      <select
        className="dwcp-Workspace"
        aria-label="Workspace"
        value={status.workspace.id}
        onChange={event => this.watcher.select(event.target.value)}
      >
        {others.map(workspace => (
          <option key={workspace.id} value={workspace.id}>
            {workspace.name}
          </option>
        ))}
      </select>
    );
  }

  private readonly openMenu = (button: HTMLElement, model: string, version: Version) =>
    this.menu.open(button, this.actions.ofVersion(model, version));
  private readonly actions: Actions;
  private readonly menu = new PopupMenu();
  private readonly versions = (model: string, limit: number) => this.watcher.versions(model, limit);
  private readonly showMore = () => this.watcher.showMore();
}

type Draw = (snapshot: Snapshot) => JSX.Element;

class Section extends ReactWidget {
  constructor(
    private readonly watcher: Watcher,
    private readonly draw: Draw
  ) {
    super();
    watcher.changed.connect(() => this.update());
  }

  protected override render(): JSX.Element {
    return this.draw(this.watcher.snapshot);
  }
}

function drawEndpoints({ endpoints }: Snapshot): JSX.Element {
  return endpoints === null ? <></> : <Endpoints endpoints={endpoints} />;
}

function drawHeader({ obstacle }: Snapshot): JSX.Element {
  return obstacle === null ? <></> : <ObstacleNote obstacle={obstacle} />;
}

function ObstacleNote({ obstacle }: { obstacle: Obstacle }): JSX.Element {
  return (
    <div className="dwcp-Obstacle" role="alert">
      <p className="dwcp-Obstacle-title">{obstacle.title}</p>
      <p>{obstacle.remedy}</p>
    </div>
  );
}

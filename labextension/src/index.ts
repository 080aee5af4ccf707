/** Models and endpoints of a dwcp_jupyter workspace, in the left side panel of JupyterLab and Notebook. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';

import packageData from '../package.json';
import { Client } from './client';
import { DwcpPanel } from './panel';
import { openVersion } from './version';
import { Watcher } from './watcher';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'dwcp_jupyter:panel',
  description: 'Lists the models and endpoints of the workspace.',
  autoStart: true,
  optional: [ILayoutRestorer],
  activate: (app: JupyterFrontEnd, restorer: ILayoutRestorer | null) => {
    const client = new Client(app.serviceManager.serverSettings);
    const watcher: Watcher = new Watcher(client, packageData.version, (): boolean => panel.isVisible);
    const panel = new DwcpPanel(watcher, (model, version) => openVersion(app, watcher, model, version));
    restorer?.add(panel, panel.id);
    app.shell.add(panel, 'left', { rank: 650 });
  }
};

export default plugin;

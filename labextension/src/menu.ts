/** A menu beside a button, as JupyterLab draws menus. */

import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

export interface MenuItem {
  readonly label: string;
  readonly run: () => Promise<void>;
}

const COMMAND = 'dwcp_jupyter:run';

export class PopupMenu {
  constructor() {
    this.commands.addCommand(COMMAND, {
      label: args => this.items[Number(args['index'])]?.label ?? '',
      execute: args => this.items[Number(args['index'])]?.run()
    });
  }

  /** Open it below `button`. */
  open(button: HTMLElement, items: readonly MenuItem[]): void {
    this.items = items;
    this.menu.clearItems();
    items.forEach((_, index) => this.menu.addItem({ command: COMMAND, args: { index } }));
    const { left, bottom } = button.getBoundingClientRect();
    this.menu.open(left, bottom);
  }

  dispose(): void {
    this.menu.dispose();
  }

  private readonly commands = new CommandRegistry();
  private readonly menu = new Menu({ commands: this.commands });
  private items: readonly MenuItem[] = [];
}

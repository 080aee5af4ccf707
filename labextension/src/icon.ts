import { LabIcon } from '@jupyterlab/ui-components';

import svgstr from '../style/icons/dwcp.svg';

/** Layers, one on another: data, models, endpoints. */
export const dwcpIcon = new LabIcon({ name: 'dwcp_jupyter:icon', svgstr });

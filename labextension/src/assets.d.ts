declare module '*.svg' {
  const text: string;
  export default text;
}

declare module '*/package.json' {
  const content: { readonly version: string };
  export default content;
}

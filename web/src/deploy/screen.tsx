export const DeployScreen = () => <h1>deploy</h1>;

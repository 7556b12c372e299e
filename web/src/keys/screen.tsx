export const KeysScreen = () => <h1>keys</h1>;

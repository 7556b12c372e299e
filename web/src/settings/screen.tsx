export const SettingsScreen = () => <h1>settings</h1>;

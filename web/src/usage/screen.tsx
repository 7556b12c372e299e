export const UsageScreen = () => <h1>usage</h1>;

"""The JVM side: Java sources of the Spark plugin, file system and commit protocol, and their jar."""
